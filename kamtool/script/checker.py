"""What is wrong with a cfg: everything `kamailio -c` and its start refuse, and what they let pass unseen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from kamtool.errors import ConfigError, Span
from kamtool.module import declaration
from kamtool.script.check_routes import RouteChecker
from kamtool.script.likely import likely
from kamtool.script.nodes import Alias, Custom, FlagsLine, Item, Listen, Load, ModParam, Route, Setting
from kamtool.script.preprocess import Preprocessor
from kamtool.script.scope import Scope
from kamtool.script.settings import ALIASES, PARAMETERS, UNBUILT, Honour, Settings
from kamtool.script.slip import is_slip
from kamtool.script.tokens import Mode

MOST_FLAGS = 32
WEBSOCKETS = {"ws": "tcp", "wss": "tls"}
"""On which sockets they are spoken."""
_HEADER = re.compile(r"""\w*route\s*\[\s*["']?([^]"'\s]+)["']?\s*\]\s*\{""")


class Checker:
    """Walks the items in their order, as Kamailio does: what is used must stand below what brings it."""

    def __init__(
        self,
        items: Sequence[Item],
        report: Callable[[ConfigError], None],
        preprocessor: Preprocessor,
        mode: Mode,
        texts: Mapping[str, str],
    ) -> None:
        self.items, self.report, self.preprocessor, self.mode = items, report, preprocessor, mode
        self.texts = texts
        self.scope = Scope.core()
        self.settings = Settings()
        self.missing: set[str] = set()
        """Modules that could not be loaded: what they would have brought is not complained about twice."""
        self.routes = RouteChecker(self, report)

    def error(self, message: str, span: Span, code: str, hint: str = "", place: Span | None = None) -> None:
        self.report(ConfigError(message, span, code=code, hint=hint, place=place))

    def warn(self, message: str, span: Span, code: str, hint: str = "") -> None:
        self.report(ConfigError(message, span, code=code, hint=hint, severity="warning"))

    def run(self, *, parsed: bool) -> None:
        """Check everything; `parsed` is false when the parser lost parts of the file."""
        self.routes.collect(self.items)
        for item in self.items:
            self._item(item)
        self.routes.undefined(() if parsed else self._headers())
        if parsed:
            self.routes.whole_program()
            self._depends()
            self._names()
        listens = self.settings.listens
        if listens and all(each.protocol.lower() in UNBUILT for each in listens):
            self.error("there is nothing left to listen on", listens[-1].span, "KT1124")

    def _headers(self) -> Iterator[str]:
        """The names of all routes in the text, also of those that could not be read."""
        for text in self.texts.values():
            for found in _HEADER.finditer(text):
                yield found[1]

    def _item(self, item: Item) -> None:
        match item:
            case Load():
                self._load(item)
            case ModParam():
                self._modparam(item)
            case Setting():
                self._setting(item)
            case Custom():
                self._custom(item)
            case FlagsLine():
                self._flags(item)
            case Listen():
                self._listen(item)
            case Alias():
                self.settings.aliases.append(item)
                if ":" in item.host and not item.host.startswith("[") and item.host.count(":") == 1:
                    self.warn(
                        f"the alias {item.host!r} never matches: in quotes the colon is part of the name",
                        item.span,
                        "KT1301",
                        f"write alias={item.host}",
                    )
            case Route():
                self.routes.route(item)

    def _listen(self, item: Listen) -> None:
        self.settings.listens.append(item)
        protocol = item.protocol.lower()
        if protocol in WEBSOCKETS:
            carrier = WEBSOCKETS[protocol]
            self.error(
                f"a WebSocket has no socket of its own: no `listen={protocol}:`", item.span, "KT1124",
                f"listen={carrier}:… and the module websocket",
            )  # fmt: skip
        elif protocol in UNBUILT:
            self.warn(f"this socket is left out: {protocol} is not built", item.span, "KT1322")

    # Modules ------------------------------------------------------------------------------------------

    def _load(self, item: Load) -> None:
        if item.name in self.scope.modules or item.name in self.missing:
            self.error(f"module `{item.name}` is loaded twice", item.span, "KT1206")
            return
        try:
            self.scope.load(item.name)
        except ConfigError as error:
            self.missing.add(item.name)
            self.error(error.message, item.span, error.code, error.hint or self._near_module(item.name))
        except ImportError as error:
            self.missing.add(item.name)
            self.error(
                f"module `{item.name}` cannot be loaded: {error}",
                item.span,
                "KT1200",
                "install the package it needs",
            )

    @staticmethod
    def _near_module(name: str) -> str:
        from kamtool.module import available

        near = likely(name, available(), 1, 0.7)
        return f"did you mean `{near[0]}`?" if near else ""

    def _modparam(self, item: ModParam) -> None:
        try:
            pattern = re.compile(item.modules)
        except re.error:
            self.error(f"{item.modules!r} names no modules", item.span, "KT1207")
            return
        matching = [name for name in self.scope.modules if pattern.fullmatch(name)]
        if not matching:
            if not any(pattern.fullmatch(name) for name in self.missing):
                self.error(
                    f"`modparam` for module `{item.modules}`, which is not loaded",
                    item.span,
                    "KT1207",
                    f'loadmodule "{item.modules}.so" must stand above',
                    _last(item.span),
                )
            return
        declared = [(name, declaration(self.scope.modules[name]).params.get(item.name)) for name in matching]
        found = [param for _, param in declared if param is not None]
        if not found:
            self.error(
                f"module `{matching[0]}` has no parameter `{item.name}`",
                item.name_span,
                "KT1203",
                self._near_param(matching[0], item.name),
                _last(item.span),
            )
            return
        wanted = frozenset[type]().union(*(param.kinds for param in found))
        given = type(item.value)
        if given not in wanted and not (item.evaluated and str in wanted):
            kind = "a string" if str in wanted else "a number"
            self.error(
                f"the parameter `{item.name}` takes {kind}",
                item.value_span,
                "KT1204",
                "without quotes" if given is str else "in quotes",
                _last(item.span),
            )

    def _near_param(self, module: str, name: str) -> str:
        near = likely(name, declaration(self.scope.modules[module]).params, 1, 0.6)
        return f"it has `{near[0]}`" if near else f"`kamtool modules show {module}` lists them"

    def _depends(self) -> None:
        for item in self.items:
            if isinstance(item, Load) and item.name in self.scope.modules:
                for needed in self.scope.modules[item.name].depends:
                    if needed not in self.scope.modules and needed not in self.missing:
                        self.error(
                            f"module `{item.name}` needs module `{needed}`",
                            item.span,
                            "KT1205",
                            f'add loadmodule "{needed}.so"',
                        )

    # Globals ------------------------------------------------------------------------------------------

    def _setting(self, item: Setting) -> None:
        name = ALIASES.get(item.name, item.name)
        parameter = PARAMETERS.get(name)
        self.settings.set(item.name, item.value)
        if parameter is not None and parameter.honour is Honour.OLD:
            self.warn(f"`{item.name}` is of Kamailio 3 and older: it does nothing", item.name_span, "KT1302")
        if item.name == "cfgengine" and item.value not in ("", "native", "default") and not self.missing:
            self.error(
                f"no module here runs routes in {item.value!r}", item.span, "KT1205", "routes are native"
            )
        if item.name == "log_prefix":
            try:
                self.scope_of_all().template(str(item.value))
            except ConfigError as error:
                self.error(error.message, item.span, error.code, error.hint)

    def scope_of_all(self) -> Scope:
        """The core and every module of the cfg, wherever it is loaded."""
        scope = Scope.core()
        for item in self.items:
            if isinstance(item, Load) and item.name not in scope.modules:
                try:
                    scope.load(item.name)
                except (ConfigError, ImportError):
                    continue
        return scope

    def _custom(self, item: Custom) -> None:
        group = item.group if item.instance is None else f"{item.group}[{item.instance}]"
        held = self.settings.custom.setdefault(group, {})
        if item.name in held:
            self.error(f"the parameter `{group}.{item.name}` is declared twice", item.span, "KT1124")
            return
        held[item.name] = item.value
        self.settings.described[f"{group}.{item.name}"] = item

    def _flags(self, item: FlagsLine) -> None:
        table = self.settings.avp_flags if item.is_avp else self.settings.flags
        for name, number, span in item.names:
            if name in table:
                self.error(f"the flag `{name}` is declared twice", span, "KT1126")
                continue
            if number is None:
                number = next((n for n in range(MOST_FLAGS) if n not in table.values()), -1)
            if not 0 <= number < MOST_FLAGS:
                self.error(f"flags are numbered 0 to {MOST_FLAGS - 1}", span, "KT1126")
                continue
            table[name] = number

    def _names(self) -> None:
        """Defines that are asked for and nowhere made. A name one slip away from one that exists is worth a
        warning; one that a comment tells of is a switch for whoever reads it, and worth nothing.
        """
        made = self.preprocessor.ever | self.preprocessor.skipped
        for name, span in self.preprocessor.tested.items():
            if name in made or name.startswith(("MOD_", "KAMAILIO_", "KAMTOOL")):
                continue
            message = f"`{name}` is asked for but nothing defines it"
            near = sorted(known for known in made - self.preprocessor.built_in if is_slip(name, known))
            if near:
                self.warn(message, span, "KT1303", f"did you mean `{near[0]}`?")
            elif not self._is_switch(name):
                hint = f"`-A {name}` does, or `#!define {name}` above"
                self.report(ConfigError(message, span, code="KT1303", hint=hint, severity="hint"))

    def _is_switch(self, name: str) -> bool:
        """Whether a comment tells of it, be it a `#!define` that is commented out."""
        pattern = re.compile(rf"(?:#(?!!)|//)[^\n]*\b{re.escape(name)}\b")
        return any(pattern.search(text) for text in self.texts.values())


def _last(span: Span) -> Span:
    """The last character of a span."""
    return Span(span.file, span.end_line, max(span.end_column - 1, 1), span.end_line, span.end_column)
