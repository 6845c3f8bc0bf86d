"""Read and change settings of a running server."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from kamtool.errors import ConfigError, RpcError
from kamtool.module import Host, Module, declaration, rpc
from kamtool.script.levels import python_level
from kamtool.script.settings import PARAMETERS

if TYPE_CHECKING:
    from kamtool.server.server import Server

LIVE: Final = {"core": frozenset({"debug"}), "tcp": frozenset[str]()}
"""Global parameters that can change while the server runs; all others are read once, at the start."""

TM: Final = (
    "auto_inv_100_reason", "default_reason", "ac_extra_hdrs", "fr_timer", "fr_inv_timer", "wt_timer",
    "retr_timer1", "retr_timer2", "max_inv_lifetime", "max_noninv_lifetime", "auto_inv_100",
    "aggregate_challenges", "unmatched_cancel", "default_code", "cancel_b_method", "disable_6xx_block",
    "local_cancel_reason", "e2e_cancel_reason",
)  # fmt: skip
"""Parameters of tm that can change while the server runs: those that it hands on when it starts."""

_GROUP: Final = re.compile(r"([A-Za-z_]\w*)(?:\[(\d+)\])?")

Number = int | str


@dataclass(slots=True)
class Pending:
    """A change that `cfg.commit` carries out; a value of None takes an instance's own value away."""

    group: str
    name: str
    value: Number | None


class CfgRpc(Module):
    """`cfg.*`: list, read and change settings over RPC, at once or together with `cfg.commit`.

    The groups are `core` and `tcp` (global parameters), `tm`, each module whose parameters a reload may
    change (`tls`, `registrar` …), and those of custom parameters, whose new values `$sel(cfg_get.group.name)`
    gives at once. What only a restart can change is shown, not set.
    """

    name = "cfg_rpc"

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.pending: list[Pending] = []
        self.instances: dict[str, set[str]] = {}
        """The numbers of the instances of each group that were added here or by the cfg."""

    async def start(self) -> None:
        """Remember what the cfg says, for `cfg.reset`."""
        self._at_start = {group: self._values(group) for group in self._groups()}
        for group in self._custom:
            base, number = self._split(group)
            if number:
                self.instances.setdefault(base, set()).add(number)

    # Where values live

    @property
    def _custom(self) -> dict[str, dict[str, Number]]:
        """Custom parameters by group, `group` or `group[1]`, and name."""
        custom: dict[str, dict[str, Number]] = cast("Server", self.server).settings.custom
        return custom

    def _groups(self) -> list[str]:
        custom = {group for group in self._custom if "[" not in group}
        tm = ["tm"] if "tm" in self.server.modules else []
        return ["core", "tcp", *tm, *sorted({*self._of_modules() - {"tm"}, *custom})]

    def _of_modules(self) -> set[str]:
        return {name for name, module in self.server.modules.items() if getattr(module, "live", ())}

    def _live(self, group: str) -> dict[str, Number]:
        """Numbers and texts of a module that it reads each time it uses them."""
        module = self.server.modules[group]
        found = {name: getattr(module, name) for name in module.live}
        return {name: value for name, value in found.items() if isinstance(value, int | str)}

    def _values(self, group: str) -> dict[str, Number]:
        """Every variable of a group with its value; of `group[1]` with what the instance changed."""
        base, number = self._split(group)
        settings = cast("Server", self.server).settings
        if base == "core":
            names = [name for name in PARAMETERS if not name.startswith("tcp_")]
            values: dict[str, Number] = {name: settings[name] for name in names}
        elif base == "tcp":
            values = {name[4:]: settings[name] for name in PARAMETERS if name.startswith("tcp_")}
        elif base == "tm" and "tm" in self.server.modules:
            tm = self.server.modules["tm"]
            values = {name: getattr(tm, name) for name in TM}
        elif base in self._of_modules():
            values = self._live(base) | self._custom.get(base, {})
        else:
            values = dict(self._custom.get(base, {}))
        if number:
            values |= self._custom.get(group, {})
        return values

    @staticmethod
    def _split(group: str) -> tuple[str, str]:
        found = _GROUP.fullmatch(group)
        if found is None:
            raise RpcError(400, f"{group!r} is no group")
        return found[1], found[2] or ""

    def _find(self, group: str, name: str) -> Number:
        base, number = self._split(group)
        values = self._values(group) if base in self._groups() else {}
        if name not in values or (number and number not in self.instances.get(base, ())):
            raise RpcError(400, f"Failed to get the variable: there is no {group}.{name}")
        return values[name]

    # Changing

    def _checked(self, group: str, name: str, value: Any, kind: type | None = None) -> Number:
        """The value, if it may be set. Raises RpcError."""
        now = self._find(group, name)
        base, number = self._split(group)
        is_custom = name in self._custom.get(base, {})
        of_module = base != "tm" and base in self._of_modules()
        if not (is_custom or of_module or name in LIVE.get(base, TM)):
            raise RpcError(400, f"Failed to set the variable: {group}.{name} changes only at a restart")
        if number and not is_custom:
            raise RpcError(400, f"Failed to set the variable: {base}.{name} has no instances")
        if kind is not None and type(now) is not kind:
            raise RpcError(400, f"Failed to set the variable: {group}.{name} is {_kind(now)}")
        if type(now) is str:
            return str(value)
        try:
            return int(value)
        except (TypeError, ValueError):
            raise RpcError(400, f"Failed to set the variable: {group}.{name} is {_kind(now)}") from None

    async def _apply(self, group: str, name: str, value: Number | None) -> None:
        base, number = self._split(group)
        server = cast("Server", self.server)
        if name in self._custom.get(base, {}):
            if value is not None:
                self._custom.setdefault(group, {})[name] = value
            elif number:
                self._custom.get(group, {}).pop(name, None)
        elif base == "tm" and value is not None:
            tm = server.modules["tm"]
            tm.set_param(name, value)
            await tm.start()
        elif base in self._of_modules() and value is not None:
            self._hand_on(base, name, value)
        elif name == "debug" and isinstance(value, int):
            server.settings.set(name, value)
            logging.getLogger("kamtool").setLevel(python_level(value))

    def _hand_on(self, group: str, name: str, value: Number) -> None:
        """As a reload of the cfg does it. Raises RpcError when the module refuses."""
        server = cast("Server", self.server)
        module = server.modules[group]
        try:
            take = module.reload(server.program, {name: value})
        except ConfigError as error:
            raise RpcError(400, f"Failed to set the variable: {error}") from error
        module.set_param(name, value)
        if take is not None:
            take()

    @rpc("cfg.set_now_int", "cfg.seti", workers="all")
    async def set_now_int(self, group: str, name: str, value: int) -> None:
        """Set a number now."""
        await self._apply(group, name, self._checked(group, name, value, int))

    @rpc("cfg.set_now_string", "cfg.sets", workers="all")
    async def set_now_string(self, group: str, name: str, value: str) -> None:
        """Set a text now."""
        await self._apply(group, name, self._checked(group, name, value, str))

    @rpc("cfg.set", workers="all")
    async def set_now(self, group: str, name: str, value: Any) -> None:
        """Set a number or a text now, whichever the variable is."""
        await self._apply(group, name, self._checked(group, name, value))

    @rpc("cfg.del", workers="all")
    async def delete(self, group: str, name: str) -> None:
        """Let an instance's variable, `group[1] name`, follow its group again."""
        self._instance(group, name)
        await self._apply(group, name, None)

    def _instance(self, group: str, name: str) -> None:
        self._find(group, name)
        if not self._split(group)[1]:
            raise RpcError(400, f"Failed to delete the value: {group} names no instance")

    # Changing later

    def _delay(self, group: str, name: str, value: Number | None) -> None:
        self.pending = [p for p in self.pending if (p.group, p.name) != (group, name)]
        self.pending.append(Pending(group, name, value))

    @rpc("cfg.set_delayed_int", workers="all")
    def set_delayed_int(self, group: str, name: str, value: int) -> None:
        """Set a number when `cfg.commit` is called."""
        self._delay(group, name, self._checked(group, name, value, int))

    @rpc("cfg.set_delayed_string", workers="all")
    def set_delayed_string(self, group: str, name: str, value: str) -> None:
        """Set a text when `cfg.commit` is called."""
        self._delay(group, name, self._checked(group, name, value, str))

    @rpc("cfg.set_delayed", workers="all")
    def set_delayed(self, group: str, name: str, value: Any) -> None:
        """Set a number or a text when `cfg.commit` is called."""
        self._delay(group, name, self._checked(group, name, value))

    @rpc("cfg.del_delayed", workers="all")
    def delete_delayed(self, group: str, name: str) -> None:
        """Let an instance's variable follow its group again when `cfg.commit` is called."""
        self._instance(group, name)
        self._delay(group, name, None)

    @rpc("cfg.commit", workers="all")
    async def commit(self) -> None:
        """Carry out all delayed changes."""
        pending, self.pending = self.pending, []
        for change in pending:
            await self._apply(change.group, change.name, change.value)

    @rpc("cfg.rollback", workers="all")
    def rollback(self) -> None:
        """Forget all delayed changes."""
        self.pending = []

    @rpc("cfg.diff")
    def diff(self) -> list[dict[str, Number | None]]:
        """The delayed changes: what is, and what will be."""
        return [
            {
                "group name": change.group,
                "variable name": change.name,
                "old value": self._find(change.group, change.name),
                "new value": change.value,
            }
            for change in self.pending
        ]

    @rpc("cfg.reset", workers="all")
    async def reset(self, group: str) -> None:
        """Give every variable of a group the value that it had at the start."""
        if group not in self._at_start:
            raise RpcError(500, f"Reset failed: there is no group {group}")
        now = self._values(group)
        for name, value in self._at_start[group].items():
            if now[name] != value:
                await self._apply(group, name, value)

    # Reading

    @rpc("cfg.get")
    def get(self, group: str, name: str = "") -> Number | dict[str, Number]:
        """The value of a variable; without a name, of every variable of the group."""
        if name:
            return self._find(group, name)
        if self._split(group)[0] not in self._groups():
            raise RpcError(400, f"Failed to get the variable: there is no group {group}")
        return self._values(group)

    @rpc("cfg.list")
    def list_variables(self, group: str = "") -> list[str]:
        """The variables, as `group: name`."""
        groups = [group] if group else self._groups()
        return [f"{each}: {name}" for each in groups if each in self._groups() for name in self._values(each)]

    @rpc("cfg.help")
    def help(self, group: str, name: str) -> list[str]:
        """What a variable means, and its type."""
        value = self._find(group, name)
        base = self._split(group)[0]
        described = cast("Server", self.server).settings.described.get(f"{base}.{name}")
        if described is not None:
            text = described.description
        elif base in self.server.modules:
            text = declaration(type(self.server.modules[base])).params[name].doc
        else:
            full = f"tcp_{name}" if base == "tcp" else name
            text = f"the global parameter {full}: {PARAMETERS[full].honour.value}"
        return [text, f"(parameter type is {'integer' if isinstance(value, int) else 'string'})"]

    # Instances

    @rpc("cfg.add_group_inst", workers="all")
    def add_instance(self, group: str) -> None:
        """Add an instance of a group, `group[1]`; `cfg_select` in the script chooses it."""
        base, number = self._split(group)
        if not number or base not in self._groups():
            raise RpcError(400, f"Failed to add the group instance {group}")
        self.instances.setdefault(base, set()).add(number)

    @rpc("cfg.del_group_inst", workers="all")
    def delete_instance(self, group: str) -> None:
        """Take an instance of a group away, with its values."""
        base, number = self._split(group)
        if number not in self.instances.get(base, ()):
            raise RpcError(400, f"Failed to delete the group instance {group}")
        self.instances[base].discard(number)
        self._custom.pop(group, None)


def _kind(value: Number) -> str:
    return "a number" if isinstance(value, int) else "a text"
