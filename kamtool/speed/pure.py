"""The pure twin of the kernel: the same names, results and exceptions, some twenty times slower.

It is what runs where no compiler was, and what the type checker reads for both. `index.py` has the message,
`scanners.py` the values inside it, `wire.py` the making of new messages, `datagrams.py` the batched UDP.
"""

from __future__ import annotations

from kamtool.speed.answering import answer
from kamtool.speed.binding import Contact, address_part, aor_of, destinations, register_fields
from kamtool.speed.calling import direct
from kamtool.speed.checking import plain_request
from kamtool.speed.cutting import body_length, end_of_head, is_one_message
from kamtool.speed.datagrams import recv_batch, send_batch
from kamtool.speed.hops import fewer_hops
from kamtool.speed.index import Index
from kamtool.speed.matching import match_key
from kamtool.speed.proof import Proof, make_nonce, md5_of, read_nonce, read_proof
from kamtool.speed.routes import lone_route, own_route
from kamtool.speed.saying import unremarkable
from kamtool.speed.scanners import (
    split_credentials,
    split_list,
    split_name_addr,
    split_params,
    split_uri,
    split_via,
)
from kamtool.speed.stepping import step
from kamtool.speed.wire import forward, relay, respond, splice

__all__ = [
    "Contact",
    "Index",
    "Proof",
    "address_part",
    "answer",
    "aor_of",
    "body_length",
    "destinations",
    "direct",
    "end_of_head",
    "fewer_hops",
    "forward",
    "is_one_message",
    "lone_route",
    "make_nonce",
    "match_key",
    "md5_of",
    "own_route",
    "plain_request",
    "read_nonce",
    "read_proof",
    "recv_batch",
    "register_fields",
    "relay",
    "respond",
    "send_batch",
    "splice",
    "split_credentials",
    "split_list",
    "split_name_addr",
    "split_params",
    "split_uri",
    "split_via",
    "step",
    "unremarkable",
]
