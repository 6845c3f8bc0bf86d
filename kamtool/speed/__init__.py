"""The native kernel and its pure twin, behind one set of names.

`NATIVE` says which one runs. `KAMTOOL_PURE=1` in the environment forces the twin.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from kamtool.speed.names import HEADERS, IDS, METHODS, NAMES
from kamtool.speed.stepping import ENDED

if TYPE_CHECKING:
    from kamtool.speed.pure import (
        Contact,
        Index,
        Proof,
        address_part,
        answer,
        aor_of,
        body_length,
        destinations,
        direct,
        end_of_head,
        fewer_hops,
        forward,
        is_one_message,
        lone_route,
        make_nonce,
        match_key,
        md5_of,
        own_route,
        plain_request,
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
        unremarkable,
    )  # fmt: skip  # isort: skip

    NATIVE = bool(os.environ)

__all__ = [
    "ENDED", "HEADERS", "IDS", "METHODS", "NAMES", "NATIVE", "Contact", "Index", "Proof", "address_part",
    "answer", "aor_of", "body_length", "destinations", "direct", "end_of_head", "fewer_hops", "forward",
    "is_one_message", "lone_route", "make_nonce", "match_key", "md5_of", "own_route", "plain_request",
    "read_nonce", "read_proof", "recv_batch", "register_fields", "relay", "respond", "send_batch", "splice",
    "split_credentials", "split_list", "split_name_addr", "split_params", "split_uri", "split_via", "step",
    "unremarkable",
]  # fmt: skip

if not TYPE_CHECKING:

    def _of(kernel: ModuleType) -> dict[str, Any]:
        return {name: getattr(kernel, name) for name in __all__ if name not in globals()}

    NATIVE = False
    if os.environ.get("KAMTOOL_PURE", "") in ("", "0"):
        # Not built, or in a checkout before it had all of these names: then no mixture of the two.
        with suppress(ImportError, AttributeError):
            globals().update(_of(import_module("kamtool.speed._kernel")))
            NATIVE = True
    if not NATIVE:
        globals().update(_of(import_module("kamtool.speed.pure")))
