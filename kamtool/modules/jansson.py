"""jansson: JSON in pseudo-variables."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any, Final

from kamtool.module import ANY, Module, Value, Variable, function
from kamtool.script.avp import Record

if TYPE_CHECKING:
    from kamtool.script.context import Context

logger = logging.getLogger("kamtool.modules.jansson")

_STEP: Final = re.compile(r"\[(-?\d+)\]|\.?([^.\[\]]+)")
_INT: Final = range(-(2**31), 2**31)
DEEPEST: Final = 100

Steps = list[int | str]


class NoJson(Exception):  # told in the log, and by a return code
    """Text that is no JSON, or a path that leads nowhere."""


def read(text: str) -> Any:
    """JSON as text. Raises NoJson."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoJson(f"no JSON: {error}: {text[:80]!r}") from error


def write(value: Any) -> str:
    """JSON without blanks."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def steps_of(path: str) -> Steps:
    """`a.b[2].c` step by step. Raises NoJson."""
    steps: Steps = []
    place = 0
    while place < len(path):
        found = _STEP.match(path, place)
        if found is None or len(steps) > DEEPEST:
            raise NoJson(f"{path!r} is no path")
        steps.append(int(found[1]) if found[1] is not None else found[2])
        place = found.end()
    return steps


def follow(value: Any, steps: Steps) -> Any:
    """What stands at a path. Raises NoJson when nothing does."""
    for step in steps:
        if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
            value = value[step]
            continue
        if not isinstance(value, dict) or not isinstance(step, str) or step not in value:
            raise NoJson(f"nothing at {step!r}")
        value = value[step]
    return value


def to_value(value: Any) -> Value:
    """A JSON value as a pseudo-variable holds it: what is no text or small number is JSON text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if value in _INT else str(value)
    return write(value)


def typed(kind: str, text: str) -> Any:
    """A value of the type that `kind` names. Raises NoJson."""
    try:
        match kind:
            case "str" | "string":
                return text
            case "int" | "integer":
                return int(text)
            case "real":
                return float(text)
            case "true" | "false":
                return kind == "true"
            case "null":
                return None
    except ValueError as error:
        raise NoJson(f"{text!r} is no {kind}") from error
    wanted = {"obj": dict, "object": dict, "arr": list, "array": list}.get(kind)
    if wanted is None:
        raise NoJson(f"{kind!r} is no type")
    value = read(text)
    if not isinstance(value, wanted):
        raise NoJson(f"{text!r} is no {kind}")
    return value


def put(root: Any, steps: Steps, value: Any) -> Any:
    """The root with a value put at a path; objects on the way there are made. Raises NoJson."""
    if not steps:
        return value
    place = root
    for number, step in enumerate(steps):
        last = number == len(steps) - 1
        if isinstance(step, str) and isinstance(place, dict):
            if last:
                place[step] = value
            elif not isinstance(place.get(step), dict | list):
                place[step] = {}
        elif isinstance(step, int) and isinstance(place, list) and 0 <= step <= len(place):
            if step == len(place):
                place.append(value if last else {})
            elif last:
                place[step] = value
        else:
            raise NoJson(f"nothing can be put at {step!r}")
        if not last:
            place = place[step]
    return root


class Jansson(Module):
    """Read and write JSON by paths such as `a.b[2].c`."""

    @staticmethod
    def _failed(error: NoJson) -> bool:
        logger.error("%s", error)
        return False

    @function("jansson_get", routes=ANY)
    def jansson_get(self, ctx: Context, path: str, source: str, destination: Variable) -> bool:
        """Put what stands at `path` of the JSON `source` into a variable; false when nothing does.

        Objects, arrays, fractions and numbers past 32 bits are text; true is 1, null is `$null`.
        """
        try:
            document = read(source)
        except NoJson as error:
            return self._failed(error)
        try:
            destination.set(ctx, to_value(follow(document, steps_of(path))))
        except NoJson:
            return False
        return True

    @function("jansson_get_field", routes=ANY)
    def jansson_get_field(self, ctx: Context, source: str, path: str, destination: Variable) -> bool:
        """jansson_get with its parameters in another order."""
        return self.jansson_get(ctx, path, source, destination)

    @function("jansson_set", routes=ANY)
    def jansson_set(self, ctx: Context, kind: str, path: str, value: str, result: Variable) -> bool:
        """Put a value at `path` of the JSON in a variable; an undefined one becomes an object.

        Its type is `string`, `integer`, `real`, `object`, `array`, `true`, `false` or `null`.
        """
        try:
            result.set(ctx, write(put(_root(ctx, result), steps_of(path), typed(kind, value))))
        except NoJson as error:
            return self._failed(error)
        return True

    @function("jansson_append", routes=ANY)
    def jansson_append(self, ctx: Context, kind: str, path: str, value: str, result: Variable) -> bool:
        """Append a value to the array at `path`, or the members of an object to the object there."""
        try:
            root = _root(ctx, result)
            place, new = follow(root, steps_of(path)), typed(kind, value)
            if isinstance(place, list):
                place.append(new)
            elif isinstance(place, dict) and isinstance(new, dict):
                place.update(new)
            else:
                raise NoJson(f"at {path!r} is no array, and no object for an object")
            result.set(ctx, write(root))
        except NoJson as error:
            return self._failed(error)
        return True

    @function("jansson_array_size", routes=ANY)
    def jansson_array_size(self, ctx: Context, path: str, source: str, destination: Variable) -> bool:
        """Put the number of entries of the array at `path` into a variable; false when there is none."""
        try:
            array = follow(read(source), steps_of(path))
            if not isinstance(array, list):
                raise NoJson(f"at {path!r} is no array")
        except NoJson as error:
            return self._failed(error)
        destination.set(ctx, len(array))
        return True

    @function("jansson_xdecode", routes=ANY)
    def jansson_xdecode(self, ctx: Context, source: str, name: str) -> bool:
        """Make an XAVP of a JSON object, or one of each object of an array; the last one is on top."""
        try:
            document = read(source)
            objects = document if isinstance(document, list) else [document]
            if not all(isinstance(each, dict) for each in objects):
                raise NoJson("neither an object nor an array of objects")
        except NoJson as error:
            return self._failed(error)
        for each in objects:
            record = Record()
            for field, inner in each.items():
                value = to_value(inner)
                if value is not None:
                    record.fields[field] = [value]
            ctx.avps.xavps.push(name, record)
        return True

    @function("jansson_xencode", routes=ANY)
    def jansson_xencode(self, ctx: Context, name: str, destination: Variable) -> bool:
        """Put the fields of an XAVP into a variable as a JSON object, the newest first; false without one."""
        record = ctx.avps.xavps.record(name)
        if record is None:
            return False
        fields = {field: values[-1] for field, values in reversed(record.fields.items())}
        destination.set(ctx, json.dumps(fields, ensure_ascii=False))
        return True


def _root(ctx: Context, variable: Variable) -> Any:
    text = variable.get(ctx)
    return read(str(text)) if text not in (None, "", 0) else {}
