"""Global parameters that a cfg defines itself: `group.name = value`."""

from __future__ import annotations

from kamtool.errors import ScriptError
from kamtool.module import Host, Value
from kamtool.script.values import to_int, to_str


def _custom(server: Host) -> dict[str, dict[str, int | str]]:
    return getattr(getattr(server, "settings", None), "custom", {})


def custom_parameter(server: Host, name: str) -> Value:
    """The global parameter `group.name` that the cfg defined, None when there is none."""
    group, _, key = name.partition(".")
    return _custom(server).get(group, {}).get(key)


def set_custom_parameter(server: Host, name: str, value: Value) -> None:
    """Change a custom global parameter, keeping its type. Raises ScriptError when the cfg defines none."""
    group, _, key = name.partition(".")
    held = _custom(server).get(group, {})
    if key not in held:
        raise ScriptError(f"no custom parameter {name!r}")
    held[key] = to_int(value) if isinstance(held[key], int) else to_str(value)
