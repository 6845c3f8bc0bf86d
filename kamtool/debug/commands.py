"""All that a client can ask of its session, by name: each takes and gives what JSON can hold."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from kamtool.debug import looking, names
from kamtool.debug.breakpoints import Wish
from kamtool.debug.effects import of_moment
from kamtool.debug.history import Moment
from kamtool.debug.parking import Parked
from kamtool.debug.past import Past
from kamtool.debug.words import Mistake, near
from kamtool.errors import ConfigError, ParseError, RpcError, ScriptError
from kamtool.module import Value
from kamtool.script import edits, snippet
from kamtool.script.context import Exit
from kamtool.sip.message import parse

HOW = ("continue", "into", "over", "out", "until", "drop", "reply")


class Commands(Past):
    """The commands of one session. Raises Mistake for what is asked wrongly."""

    async def run(self, name: str, arguments: dict[str, Any]) -> Any:
        """Carry one out. Raises Mistake."""
        method: Callable[..., Any] | None = getattr(self, f"do_{name}", None)
        if method is None:
            known = [each.removeprefix("do_") for each in dir(self) if each.startswith("do_")]
            raise Mistake(f"there is no command {name!r}", near(name, known))
        try:
            inspect.signature(method).bind(**arguments)
        except TypeError as error:
            raise Mistake(f"{name}: {error}") from error
        try:
            found = method(**arguments)
            return await found if inspect.isawaitable(found) else found
        except ConfigError as error:
            raise Mistake(error.message, error.hint) from error
        except ScriptError as error:
            raise Mistake(str(error)) from error

    # The server

    def do_hello(self) -> dict[str, Any]:
        """Whom the client is attached to."""
        import os

        from kamtool import __version__

        script = self.server.script
        return {
            "version": __version__, "pid": os.getpid(), "cfg": script.name, "worker": self.server.worker,
            "workers": self.server.team.size if self.server.team else 1,
            "files": list(script.text.files),
            "paths": {file: os.path.abspath(file) for file in script.text.files},
            "listening": [f"{each.transport}:{each.address}" for each in self.server.sockets],
        }  # fmt: skip

    def do_source(self, file: str = "") -> dict[str, Any]:
        """The text of a file of the cfg, and the lines that have statements."""
        script = self.server.script
        from kamtool.debug.breakpoints import same_file

        found = next((each for each in script.text.files if same_file(each, file or script.name)), None)
        if found is None:
            raise Mistake(f"the cfg has no file {file!r}", near(file, script.text.files))
        actions = self.server.observers.actions
        lines = sorted({a.span.line for a in actions if a.span.file == found})
        return {"file": found, "text": script.text.files[found], "statements": lines}

    def do_names(self) -> dict[str, dict[str, str]]:
        """What can be completed: variables, functions, routes and RPC methods, with a line about each."""
        return names.of(self.server)

    async def do_rpc(self, method: str, params: list[Any]) -> Any:
        """Call a method of the control plane."""
        try:
            return await self.server.rpc.call(method, params)
        except RpcError as error:
            raise Mistake(error.message) from error

    def do_options(self, **changes: Any) -> dict[str, Any]:
        """Read or change `budget` (seconds), `most` (messages), `trying` and `history` (visits kept)."""
        options, recorder = self.session.options, self.session.recorder
        for name, value in changes.items():
            if name == "history" and isinstance(value, int) and 0 <= value <= 10_000:
                recorder.keep(value)
                self.session.rearm()
            elif name in ("budget", "most") and isinstance(value, int | float) and 0 <= value < 1e6:
                setattr(options, name, type(getattr(options, name))(value))
            elif name == "trying":
                options.trying = bool(value)
            else:
                raise Mistake(f"{name} cannot be {value!r}", "there are budget, most, trying and history")
        return {
            "budget": options.budget, "most": options.most, "trying": options.trying,
            "history": recorder.keeping,
        }  # fmt: skip

    # Breakpoints

    def do_break(
        self, text: str, condition: str = "", once: bool = False, ignore: int = 0, log: str = "",
        commands: list[str] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Stop at a place, or with `log` write a line there."""
        wish = Wish(text, condition, once, ignore, log, tuple(commands or ()))
        return self.session.add_breakpoint(wish).facts()

    def do_delete(self, number: int) -> None:
        """Remove a breakpoint."""
        self.session.remove_breakpoint(number)

    def do_clear(self) -> int:
        """Remove all breakpoints; how many there were."""
        count = len(self.session.breakpoints)
        self.session.breakpoints.clear()
        self.session.rearm()
        return count

    def do_change(self, number: int, **changes: Any) -> dict[str, Any]:
        """Change `enabled`, `ignore`, `once` or `commands` of a breakpoint; its hits count anew."""
        found = self.session.breakpoints.get(number)
        if found is None:
            raise Mistake(f"there is no breakpoint {number}", "`breakpoints` lists them")
        for name, value in changes.items():
            if name not in ("enabled", "ignore", "once", "commands"):
                raise Mistake(f"a breakpoint has no {name!r}")
            setattr(found, name, tuple(value) if name == "commands" else value)
        found.hits = 0
        self.session.rearm()
        return found.facts()

    def do_breakpoints(self) -> list[dict[str, Any]]:
        """All of them."""
        return [each.facts() for each in self.session.breakpoints.values()]

    # Going on

    def do_parked(self) -> list[dict[str, Any]]:
        """Every message that waits."""
        return [each.facts() for each in self.session.parked.values()]

    def do_resume(
        self, how: str = "continue", of: int | None = None, line: int = 0, status: int = 0, reason: str = ""
    ) -> dict[str, Any]:  # fmt: skip
        """Let a message go on; see `HOW`."""
        if how not in HOW:
            raise Mistake(f"nothing goes on by {how!r}", near(how, HOW))
        parked = self.session.find(of)
        what: Any = line
        if how == "reply":
            if not 200 <= status <= 699:
                raise Mistake(f"{status} is no final status", "`reply 503`")
            if not parked.ctx.msg.is_request:
                raise Mistake("a response cannot be answered")
            from kamtool.sip.build import REASONS

            what = (status, reason or REASONS.get(status, "Answered by hand"))
        self.session.resume(parked, how, what)
        return {"id": parked.number, "how": how}

    def do_release(self) -> int:
        """Let every parked message go on; how many there were."""
        waiting = list(self.session.parked.values())
        for parked in waiting:
            self.session.resume(parked, "continue")
        return len(waiting)

    # Looking

    def do_backtrace(self, of: int | None = None) -> dict[str, Any]:
        """The open routes, and what has become of the call until now, route after route."""
        parked = self.session.find(of)
        visits = [each for each in self.session.recorder.visits if each.key[0] == parked.key[0]]
        return {
            "stack": [place.facts() for place in parked.stack],
            "visits": [self._visit(each) for each in visits],
        }

    async def do_evaluate(self, text: str, of: int | None = None) -> dict[str, Any]:
        """The value of any expression, at the moment that is looked at."""
        parked = self.session.find(of)
        asked = snippet.expression(text, self.server.script, self.server)
        with self._seen(parked) as ctx:
            if asked.waits and parked.cursor is not None:
                raise Mistake(f"`{text}` waits for something: that cannot be asked of the past")
            rc = ctx.rc
            try:
                value = await asked.value(ctx)
            except Exit:
                value = 0
            finally:
                ctx.rc = rc
        return {"value": value, "type": _type(value)}

    def do_information(self, what: str, of: int | None = None) -> Any:
        """`message`, `branches`, `transaction`, `avps`, `flags`, `routing`, `htable NAME`."""
        if what.startswith("htable"):
            return looking.htables(self.server, what[6:].strip())
        with self._seen(self.session.find(of)) as ctx:
            return looking.information(self.server, ctx, what)

    def do_message(self, of: int | None = None, received: bool = False) -> list[str]:
        """The message as it would leave now, or as it was received."""
        with self._seen(self.session.find(of)) as ctx:
            return looking.lines_of(ctx.msg.data if received else looking.leaving(self.server, ctx))

    def do_applied(self, of: int | None = None) -> list[str]:
        """The message with the script's edits in it and no Via of ours: what can be edited and replaced."""
        with self._seen(self.session.find(of)) as ctx:
            return looking.lines_of(edits.applied(ctx))

    def do_difference(self, of: int | None = None, step: bool = False) -> list[str]:
        """What differs between the message as received (with `step`: before the last statement) and now."""
        parked = self.session.find(of)
        with self._seen(parked) as ctx:
            now = edits.applied(ctx)
            before = ctx.msg.data
        if step:
            visit, at = self._moments(parked)
            if at < 1:
                return []
            with self.session.recorder.revived(visit.moments[at - 1].state) as earlier:
                before = edits.applied(earlier)
        return looking.difference(before, now)

    # Changing

    async def do_execute(self, text: str, of: int | None = None) -> dict[str, Any]:
        """Run statements on the message: `$du = "sip:10.0.0.9"`, `append_hf("X: 1\\r\\n")`."""
        parked = self._present(of)
        run = snippet.statements(text, self.server.script, self.server)
        before = self.session.recorder.state(parked.ctx)
        rc = parked.ctx.rc
        try:
            code = await run(parked.ctx)
        except Exit as way_out:
            code = way_out.code
        finally:
            parked.ctx.rc = rc
        after = self.session.recorder.state(parked.ctx)
        return {"code": code, "effects": of_moment(Moment(None, before), after)}

    def do_header(self, action: str, name: str, value: str = "", of: int | None = None) -> list[str]:
        """`add`, `set` or `remove` a header; the message as it would leave then."""
        ctx = self._present(of).ctx
        if any(c in name + value for c in "\r\n") or not name.strip():
            raise Mistake("a header is one line with a name")
        if action == "add":
            edits.append_header(ctx, f"{name}: {value}")
        elif action == "set":
            edits.set_header(ctx, name, value)
        elif action == "remove":
            if not edits.remove(ctx, list(ctx.msg.fields(name))):
                raise Mistake(f"the message has no header {name}")
        else:
            raise Mistake(f"a header is not to {action!r}", "add, set or remove")
        return looking.difference(ctx.msg.data, edits.applied(ctx))

    def do_replace(self, text: str, of: int | None = None) -> list[str]:
        """Put another message in the place of this one; its edits so far are in it or are gone."""
        parked = self._present(of)
        ctx = parked.ctx
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        data = (head.strip("\n").replace("\n", "\r\n") + "\r\n\r\n").encode("utf-8", "surrogateescape")
        data += body.replace("\n", "\r\n").encode("utf-8", "surrogateescape")
        try:
            msg = parse(data)
        except ParseError as error:
            raise Mistake(f"this is no SIP message: {error}") from error
        if msg.is_request != ctx.msg.is_request:
            raise Mistake("a request stays a request, and a response a response")
        before = edits.applied(ctx)
        ctx.msg, ctx.edits = msg, ()
        if msg.is_request:
            ctx.new_uri = None
        return looking.difference(before, msg.data)

    def _present(self, of: int | None) -> Parked:
        parked = self.session.find(of)
        if parked.cursor is not None:
            raise Mistake("the past cannot be changed", "`now` comes back to the present")
        return parked


def _type(value: Value) -> str:
    return "null" if value is None else "int" if isinstance(value, int) else "str"
