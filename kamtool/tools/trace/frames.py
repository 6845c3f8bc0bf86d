"""What goes over the control socket to a tracer: frames, small for the server to make.

A frame is a head and its data. Flows and statements are told once and then go by their numbers.
"""

from __future__ import annotations

from kamtool.speed.tape import HEAD as HEAD

MESSAGE_OUT, MESSAGE_IN, FLOW, PLACE, FACTS, DROPPED, END_OF_PAST, END_OF_BATCH = range(8)
RECORDS = 16
"""From here on: what kamtool.transport.records tells of TLS connections. In the place of a statement stands
how many octets went that way before it, modulo 2^32.
"""
ATTACH = b'"trace.attach"'
"""What the first line of a client holds that wants to trace."""
