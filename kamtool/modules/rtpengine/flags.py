"""The flags of rtpengine_offer and its like, one text of words, as the dictionary that rtpengine wants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]

# Words `list-item` or `list=item`, which make a list of that name.
LISTS = {"replace": "replace", "rtcp-mux": "rtcp-mux", "SDES": "SDES", "T.38": "T.38", "T38": "T.38"}
CODECS = ("strip", "offer", "mask", "transcode", "set", "except", "accept", "consume", "ignore")
NUMBERS = {"TOS": "TOS", "delete-delay": "delete delay", "repacketize": "repacketize"}
PROFILES = {"RTP": (0, 1), "AVP": (0, 2), "SRTP": (1, 0), "AVPF": (2, 0)}
"""Words that put the profile together: the bits they set and clear of secure (1) and feedback (2)."""

BRANCHES = ("1", "2", "auto", "extra", "next", "auto-next", "next-auto", "auto-extra", "extra-auto")


class FlagError(ValueError):
    """A word that cannot be obeyed."""


@dataclass(slots=True)
class Flags:
    """What the words ask for. `entries` go to rtpengine; the rest is about the message itself."""

    entries: Message = field(default_factory=dict)
    via: str = ""
    call_id: str = ""
    from_tag: str = ""
    to_tag: str = ""
    with_to_tag: bool = False
    directional: bool = False
    received_from: list[str] = field(default_factory=list)

    def append(self, key: str, value: str) -> None:
        self.entries.setdefault(key, []).append(value)


def read_flags(text: str) -> Flags:
    """Raises FlagError."""
    flags, profile = Flags(), -1
    for word in text.split():
        if word in PROFILES:
            bits, without = PROFILES[word]
            profile = max(profile, 0) & ~without | bits
        elif word in (
            "RTP/AVP",
            "RTP/SAVP",
            "RTP/AVPF",
            "RTP/SAVPF",
            "UDP/TLS/RTP/SAVP",
            "UDP/TLS/RTP/SAVPF",
        ):
            flags.entries["transport-protocol"] = word
        else:
            _word(flags, word)
    if profile >= 0:
        flags.entries["transport-protocol"] = f"RTP/{'S' * (profile & 1)}AVP{'F' * (profile >> 1)}"
    return flags


def _word(flags: Flags, word: str) -> None:
    key, equals, value = word.partition("=")
    if equals and not value:
        raise FlagError(f"{word!r} has no value")
    if equals and _about_the_call(flags, key, value):
        return
    if _codec(flags, word):
        return
    for name, entry in LISTS.items():
        if (equals and key == name) or word.startswith(f"{name}-"):
            flags.append(entry, value if equals and key == name else word[len(name) + 1 :])
            return
    if key == "direction" and equals:
        flags.append("direction", value)
    elif word in ("internal", "external"):
        flags.append("direction", word)
    elif key in NUMBERS and equals:
        if not value.isascii() or not value.isdigit():
            raise FlagError(f"{word!r} wants a number")
        flags.entries[NUMBERS[key]] = int(value)
    elif equals:
        flags.entries[key] = value
    elif word == "to-tag":
        flags.with_to_tag = True
    elif word == "directional":
        flags.directional = True
    else:
        flags.append("flags", word)


def _about_the_call(flags: Flags, key: str, value: str) -> bool:
    if key == "via-branch":
        if value not in BRANCHES:
            raise FlagError(f"via-branch={value}: write {', '.join(BRANCHES)}")
        flags.via = value
    elif key == "call-id":
        flags.call_id = value
    elif key == "from-tag":
        flags.from_tag = value
    elif key == "to-tag":
        flags.to_tag = value
    elif key == "received-from":
        family, dash, address = value.partition("-")
        flags.received_from = [family, address] if dash else ["IP6" if ":" in value else "IP4", value]
    else:
        return False
    return True


def _codec(flags: Flags, word: str) -> bool:
    name = word.removeprefix("codec-")
    for kind in CODECS if name != word else ("transcode",):
        if name.startswith((f"{kind}=", f"{kind}-")):
            codecs: dict[str, list[str]] = flags.entries.setdefault("codec", {})
            codecs.setdefault(kind, []).append(name[len(kind) + 1 :])
            return True
    return False
