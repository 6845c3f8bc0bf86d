"""stub"""

from kamtool.script.nodes import *
from kamtool.script.walk import walk


class ValueChecker:
    def __init__(self, checker, routes):
        self.checker, self.routes = checker, routes

    def route(self, item):
        for n in walk(item.body):
            if isinstance(n, Call):
                f = self.checker.scope.function(n.name, len(n.arguments))
                if f is None:
                    m, h = self.checker.scope.unknown_function(n.name, len(n.arguments))
                    self.checker.error(m, n.span, "KT1150", h)
