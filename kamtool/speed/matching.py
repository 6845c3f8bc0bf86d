"""What a request is matched to its transaction by (RFC 3261 §17.2.3). The pure twin."""

from __future__ import annotations

from kamtool.speed.index import Index

MAGIC_COOKIE = "z9hG4bK"


def match_key(index: Index, method: str) -> str | tuple[str | int | bytes, ...]:
    """Branch, sent-by and method in one text; without the magic cookie what RFC 2543 has in their place.

    A text keeps its hash. None of its parts can hold a space, so no two texts can be mistaken for each other.
    """
    branch = index.branch
    if branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE):
        return f"{branch} {index.via_host} {index.via_port} {method}"
    via = index.data[index.via_start : index.via_end]
    return index.uri, index.from_tag, index.call_id, index.cseq, via, method
