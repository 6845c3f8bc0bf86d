"""How a module declares itself: parameters, functions, pseudo-variables, transformations, RPC and events.

Everything that is known about a module (man page, completion, RPC help, the checker's arity and route kinds)
is a view of these declarations, so they need no running server: `declaration(cls)` reads the class alone.

    class HTable(Module):
        \"\"\"Hash tables shared by all routes, with expiry and optional persistence.\"\"\"
        timer_interval = Param(20, "seconds between scans for expired items")

        @function("sht_rm", routes=ANY)
        def sht_rm(self, ctx: Context, table: str, key: str) -> int: ...

The annotation of a function's parameter decides what the cfg may write there and what the method receives:

    str           a format: pseudo-variables in it are expanded at each call
    int           a number, a numeric string, or a pseudo-variable that holds one
    Value         any expression, its type kept
    Plain         the text as written, never expanded
    Phrase        the text as written, unless it is one pseudo-variable and nothing else
    Regex         a POSIX extended regular expression, compiled at load
    Substitution  `/regex/replacement/flags`, compiled at load; variables in the replacement are expanded
    Variable      a pseudo-variable to read and write
    FlagName      the number or declared name of a flag
    RouteName     the name of a route; the checker looks it up
"""

from kamtool.module.base import Module
from kamtool.module.declared import Constants, Declaration, Function, Parameter, Pv, Rpc, Transformation
from kamtool.module.exports import function, pv, rpc, transformation
from kamtool.module.finding import available, find
from kamtool.module.host import Host
from kamtool.module.kinds import (
    FlagName,
    Index,
    Kind,
    Phrase,
    Plain,
    Regex,
    RouteName,
    Substitution,
    Value,
    Variable,
)
from kamtool.module.param import Param
from kamtool.module.reading import declaration
from kamtool.module.routes import (
    ANY,
    BRANCH_ROUTE,
    EVENT_ROUTE,
    FAILURE_ROUTE,
    ONREPLY_ROUTE,
    ONSEND_ROUTE,
    REQUEST_ROUTE,
    Routes,
)

__all__ = [
    "ANY",
    "BRANCH_ROUTE",
    "EVENT_ROUTE",
    "FAILURE_ROUTE",
    "ONREPLY_ROUTE",
    "ONSEND_ROUTE",
    "REQUEST_ROUTE",
    "Constants",
    "Declaration",
    "FlagName",
    "Function",
    "Host",
    "Index",
    "Kind",
    "Module",
    "Param",
    "Parameter",
    "Phrase",
    "Plain",
    "Pv",
    "Regex",
    "RouteName",
    "Routes",
    "Rpc",
    "Substitution",
    "Transformation",
    "Value",
    "Variable",
    "available",
    "declaration",
    "find",
    "function",
    "pv",
    "rpc",
    "transformation",
]
