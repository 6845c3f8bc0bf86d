"""The flags of rtpproxy_offer and its like: letters, and numbers behind some of them."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(slots=True)
class Flags:
    """What the letters ask for. `options` go to RTPproxy as they are."""

    options: str = ""
    trust_sdp: bool = False
    force: bool = False
    lookup_only: bool = False
    via: int = 0
    extra_id: bool = False
    bridge_by_family: bool = False


def read_flags(text: str) -> Flags | None:
    """The flags; None when there is one that means nothing.

    `a` asymmetric, `w` symmetric, `i` and `e` bridge between internal and external network, `x` the same by
    the family of the SDP's address, `r` trust the addresses in the SDP, `f` go on although it is marked,
    `l` only look up, `zNN` repacketize to NN ms, `1` `2` `3` the branch of the first or second Via, or that
    of the caller, is part of the call's name, `b` `extra_id_pv` is. `c` and `o` are done in any case.
    """
    flags = Flags()
    at = 0
    while at < len(text):
        letter = text[at].lower()
        at += 1
        if letter in "ie":
            flags.options += letter.upper()
        elif letter == "a":
            flags.options += "A"
            flags.trust_sdp = True
        elif letter == "w":
            flags.options += "S"
        elif letter == "r":
            flags.trust_sdp = True
        elif letter == "f":
            flags.force = True
        elif letter == "l":
            flags.lookup_only = True
        elif letter == "x":
            flags.bridge_by_family = True
        elif letter == "b":
            flags.extra_id = True
        elif letter in "123":
            flags.via = int(letter)
        elif letter == "z":
            digits = re.match(r"[0-9]+", text[at:])
            if digits is None or not int(digits[0]):
                return None
            flags.options += f"Z{int(digits[0])}"
            at += digits.end()
        elif letter not in "co":
            return None
    return flags
