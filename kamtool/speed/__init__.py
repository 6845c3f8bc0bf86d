"""The native kernel and its pure twin, behind one set of names.

`NATIVE` says which one runs. `KAMTOOL_PURE=1` in the environment forces the twin.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kamtool.speed.names import HEADERS, IDS, METHODS, NAMES
from kamtool.speed.stepping import ENDED
from kamtool.speed.stepping import step as _step

_PURE = os.environ.get("KAMTOOL_PURE", "") not in ("", "0")

if TYPE_CHECKING:
    from kamtool.speed.pure import (
        Contact,
        Index,
        Proof,
        address_part,
        answer,
        aor_of,
        forward,
        lone_route,
        make_nonce,
        md5_of,
        read_nonce,
        read_proof,
        recv_batch,
        register_fields,
        relay,
        respond,
        send_batch,
        splice,
        split_credentials,
        split_list,
        split_name_addr,
        split_params,
        split_uri,
        split_via,
        step,
    )  # fmt: skip  # isort: skip

    NATIVE = bool(os.environ)
else:
    try:
        if _PURE:
            raise ImportError("KAMTOOL_PURE is set")
        from kamtool.speed import _kernel as _twin

        NATIVE = True
    except ImportError:
        from kamtool.speed import pure as _twin

        NATIVE = False
    Index, splice, forward, relay, respond = (
        _twin.Index,
        _twin.splice,
        _twin.forward,
        _twin.relay,
        _twin.respond,
    )
    split_list, split_params, split_name_addr = _twin.split_list, _twin.split_params, _twin.split_name_addr
    split_via, split_uri, split_credentials = _twin.split_via, _twin.split_uri, _twin.split_credentials
    address_part, answer, Contact, Proof, aor_of, register_fields = (
        _twin.address_part,
        _twin.answer,
        _twin.Contact,
        _twin.Proof,
        _twin.aor_of,
        _twin.register_fields,
    )
    md5_of, read_proof, make_nonce, read_nonce = (
        _twin.md5_of,
        _twin.read_proof,
        _twin.make_nonce,
        _twin.read_nonce,
    )
    recv_batch, send_batch = _twin.recv_batch, _twin.send_batch
    # In a checkout the kernel may have been built before there was one.
    step = getattr(_twin, "step", _step)
    try:
        lone_route = _twin.lone_route
    except AttributeError:
        from kamtool.speed.pure import lone_route

__all__ = [
    "ENDED", "HEADERS", "IDS", "METHODS", "NAMES", "NATIVE", "Contact", "Index", "Proof", "address_part",
    "answer", "aor_of", "forward", "lone_route", "make_nonce", "md5_of", "read_nonce", "read_proof",
    "recv_batch", "register_fields", "relay", "respond", "send_batch", "splice", "split_credentials",
    "split_list", "split_name_addr", "split_params", "split_uri", "split_via", "step",
]  # fmt: skip
