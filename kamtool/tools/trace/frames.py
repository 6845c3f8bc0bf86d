"""What goes over the control socket to a tracer: frames, small for the server to make.

A frame is a head and its data. Flows and statements are told once and then go by their numbers.
"""

from __future__ import annotations

import struct

HEAD = struct.Struct("<BdIII")
"""Kind, time of day, number of the flow, number of the statement (0 for none), octets that follow.

Of a TLS record the fourth is how many octets went that way before it, modulo 2^32.
"""
IN, OUT, FLOW, PLACE, FACTS, DROPPED, END_OF_PAST, END_OF_BATCH = range(8)
RECORDS = 16
"""From here on: what kamtool.transport.records tells of TLS connections."""
ATTACH = b'"trace.attach"'
"""What the first line of a client holds that wants to trace."""
