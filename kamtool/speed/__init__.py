"""The native kernel and its pure twin, behind one set of names.

`NATIVE` says which one runs. `KAMTOOL_PURE=1` in the environment forces the twin.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kamtool.speed.names import HEADERS, IDS, METHODS, NAMES
from kamtool.speed.stepping import ENDED

_PURE = os.environ.get("KAMTOOL_PURE", "") not in ("", "0")

if TYPE_CHECKING:
    from kamtool.speed.pure import (
        Contact,
        Index,
        Proof,
        address_part,
        answer,
        aor_of,
        count,
        forward,
        lone_route,
        make_nonce,
        match_key,
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
        from kamtool.speed._kernel import (
            Contact,
            Index,
            Proof,
            address_part,
            answer,
            aor_of,
            count,
            forward,
            lone_route,
            make_nonce,
            match_key,
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

        NATIVE = True
    except ImportError:  # not built, or in a checkout before it had all of these: no mixture of the two
        from kamtool.speed.pure import (
            Contact,
            Index,
            Proof,
            address_part,
            answer,
            aor_of,
            count,
            forward,
            lone_route,
            make_nonce,
            match_key,
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

        NATIVE = False

__all__ = [
    "ENDED", "HEADERS", "IDS", "METHODS", "NAMES", "NATIVE", "Contact", "Index", "Proof", "address_part",
    "answer", "aor_of", "count", "forward", "lone_route", "make_nonce", "match_key", "md5_of", "read_nonce",
    "read_proof", "recv_batch", "register_fields", "relay", "respond", "send_batch", "splice",
    "split_credentials", "split_list", "split_name_addr", "split_params", "split_uri", "split_via", "step",
]  # fmt: skip
