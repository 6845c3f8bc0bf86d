"""For targets that read streams: the same octets in one piece and in many must mean the same."""


def cuts(data):
    """The data without its first octet, which says how it is cut, and the pieces."""
    step, data = (data[0] % 61 + 1, data[1:]) if data else (1, data)
    return data, [data[at : at + step] for at in range(0, len(data), step)]
