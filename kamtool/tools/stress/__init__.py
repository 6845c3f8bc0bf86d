"""`kamtool stress`: honest load for a SIP server.

A scenario (`kamtool.tools.sippxml`, or one of `builtin`) is compiled to a `program`; the `engine` runs its
calls on `endpoint`s as a `schedule` asks, in one process or several (`worker`), and what they counted
(`stats`, in `histogram`s) becomes a `report`. `sockets` and `abuse` are loads that are no calls.
"""
