"""The kinds of route, and so where a function may be called."""

from __future__ import annotations

from enum import Flag, auto


class Routes(Flag):
    """The kinds of route; a function names those it may be called from."""

    REQUEST = auto()
    FAILURE = auto()
    BRANCH = auto()
    ONREPLY = auto()  # onreply_route[X], armed by t_on_reply
    REPLY = auto()  # reply_route, before any transaction
    ONSEND = auto()
    EVENT = auto()


REQUEST_ROUTE = Routes.REQUEST
FAILURE_ROUTE = Routes.FAILURE
BRANCH_ROUTE = Routes.BRANCH
ONREPLY_ROUTE = Routes.ONREPLY | Routes.REPLY
ONSEND_ROUTE = Routes.ONSEND
EVENT_ROUTE = Routes.EVENT
ANY = ~Routes(0)
