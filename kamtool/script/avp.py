"""AVPs, XAVPs, XAVUs and XAVIs: what a script remembers about a message, and later its transaction.

An AVP is a stack: assigning pushes, reading sees the newest. An XAVP is a stack of records whose fields are
stacks themselves; an XAVU holds one record a name, one value a field; an XAVI is an XAVP whose names ignore
case.
"""

from __future__ import annotations

from kamtool.module import Index, Value

Scalar = int | str
Key = int | str
"""The name of an AVP: `$avp(s:x)` and `$avp(x)` are "x"; `$avp(i:12)` is the int 12, not "12"."""


def pick_avp(values: list[Scalar], index: Index) -> Value:
    """The value at `index` of an AVP's stack held newest last.

    A negative index finds only the newest value, by the count of all: so Kamailio 5.6 does it.
    """
    if type(index) is int and index < 0:
        return values[-1] if -index == len(values) else None
    return pick(values, index)


def pick(values: list[Scalar], index: Index) -> Value:
    """The value at `index` of a stack held newest last; `"*"` joins all, newest first."""
    if not values:
        return None
    if index is None or index == 0:
        return values[-1]
    if index == "*":
        return ", ".join(map(str, reversed(values)))
    place = slot(len(values), index)
    return None if place is None else values[place]


def slot(count: int, index: Index) -> int | None:
    """The list position of a stack's `index`: 0 is the newest, -1 the oldest, None is out of range."""
    number = index if type(index) is int else 0
    if number < 0:
        return -number - 1 if -number <= count else None
    return count - 1 - number if number < count else None


Field = Scalar | None
"""What a record's field holds one of; a scalar record `$xavp(s)="v"` keeps its value under the field ""."""


class Record:
    """One XAVP value: named fields, each a stack (newest last). A scalar record has `value` and no fields."""

    __slots__ = ("fields", "value")

    def __init__(self, value: Scalar | None = None) -> None:
        self.value = value
        self.fields: dict[str, list[Scalar]] = {}


class Records:
    """`$xavp` or, with `fold`, `$xavi`: stacks of records by name, newest last."""

    __slots__ = ("fold", "named")

    def __init__(self, fold: bool = False) -> None:
        self.fold = fold
        self.named: dict[str, list[Record]] = {}

    def _name(self, name: str) -> str:
        return name.lower() if self.fold else name

    def record(self, name: str, index: Index = None) -> Record | None:
        """The record `name[index]`, the newest by default."""
        stack = self.named.get(self._name(name))
        if not stack:
            return None
        place = slot(len(stack), index)
        return None if place is None else stack[place]

    def get(self, name: str, index: Index = None, field: str | None = None, at: Index = None) -> Value:
        """`$xavp(name[index]=>field[at])`; without a field, the value of a scalar record."""
        record = self.record(name, index)
        if record is None:
            return None
        if field is None:
            return (
                record.value if record.value is not None or not record.fields else f"<<xavp:{id(record):#x}>>"
            )
        return pick(record.fields.get(self._name(field), []), at)

    def count(self, name: str, index: Index = None, field: str | None = None) -> int:
        """How many records, or values of a field, there are."""
        if field is None:
            return len(self.named.get(self._name(name), ()))
        record = self.record(name, index)
        return 0 if record is None else len(record.fields.get(self._name(field), ()))

    def push(self, name: str, record: Record) -> None:
        """Put a record on top of the stack of `name`."""
        self.named.setdefault(self._name(name), []).append(record)

    def set(self, name: str, index: Index, field: str | None, at: Index, value: Value) -> bool:
        """Assign as `$xavp(name[index]=>field[at]) = value` does; false when there is no such place.

        Without an index a new record is pushed each time; an index names the record to add to.
        """
        if value is None:
            return self.delete(name, index, field, at)
        if field is None:
            return self._set_scalar(name, index, value)
        if index is None:
            record = Record()
            record.fields[self._name(field)] = [value]
            self.push(name, record)
            return True
        found = self.record(name, index)
        if found is None:
            return False
        values = found.fields.setdefault(self._name(field), [])
        if at is None:
            values.append(value)
            return True
        if at == "*":  # one value cannot be all of them: nothing changes
            return False
        place = slot(len(values), at)
        if place is None:
            return False
        values[place] = value
        return True

    def _set_scalar(self, name: str, index: Index, value: Scalar) -> bool:
        if index == "*":
            self.named.pop(self._name(name), None)
            index = None
        if index is None:
            self.push(name, Record(value))
            return True
        stack = self.named.get(self._name(name), [])
        place = slot(len(stack), index)
        if place is None:
            return False
        stack[place] = Record(value)
        return True

    def delete(self, name: str, index: Index = None, field: str | None = None, at: Index = None) -> bool:
        """Remove a record (`"*"`: all of them) or, with a field, one of its values."""
        name = self._name(name)
        stack = self.named.get(name)
        if not stack:
            return False
        if field is None:
            if index == "*":
                del self.named[name]
                return True
            place = slot(len(stack), index)
            if place is None:
                return False
            del stack[place]
            if not stack:
                del self.named[name]
            return True
        record = self.record(name, index)
        return record is not None and self._delete_value(record.fields, self._name(field), at)

    @staticmethod
    def _delete_value(fields: dict[str, list[Scalar]], field: str, at: Index) -> bool:
        values = fields.get(field)
        if not values:
            return False
        place = slot(len(values), at)
        if at == "*":
            del fields[field]
        elif place is None:
            return False
        else:
            del values[place]
            if not values:
                del fields[field]
        return True


class Uniques:
    """`$xavu`: one value a name, or one record of unique fields."""

    __slots__ = ("named",)

    def __init__(self) -> None:
        self.named: dict[str, Scalar | dict[str, Scalar]] = {}

    def get(self, name: str, field: str | None = None) -> Value:
        """`$xavu(name)` or `$xavu(name=>field)`."""
        held = self.named.get(name)
        if isinstance(held, dict):
            return held.get(field) if field is not None else f"<<xavu:{id(held):#x}>>"
        return held if field is None else None

    def set(self, name: str, field: str | None, value: Value) -> None:
        """Assign, replacing what was there; None deletes."""
        if field is None:
            if value is None:
                self.named.pop(name, None)
            else:
                self.named[name] = value
            return
        held = self.named.get(name)
        if value is None:
            if isinstance(held, dict):
                held.pop(field, None)
            return
        if not isinstance(held, dict):
            held = self.named[name] = {}
        held[field] = value


class Avps:
    """All that is attached to one message and, once it has one, its transaction."""

    __slots__ = ("_xavis", "_xavps", "_xavus", "named")

    def __init__(self) -> None:
        self.named: dict[Key, list[Scalar]] = {}
        self._xavps: Records | None = None
        self._xavis: Records | None = None
        self._xavus: Uniques | None = None

    # Most messages that have AVPs have nothing else.

    @property
    def xavps(self) -> Records:
        """What `$xavp` tells."""
        if self._xavps is None:
            self._xavps = Records()
        return self._xavps

    @property
    def xavis(self) -> Records:
        """What `$xavi` tells."""
        if self._xavis is None:
            self._xavis = Records(fold=True)
        return self._xavis

    @property
    def xavus(self) -> Uniques:
        """What `$xavu` tells."""
        if self._xavus is None:
            self._xavus = Uniques()
        return self._xavus

    def top(self, name: Key) -> Value:
        """The newest value, None when there is none."""
        values = self.named.get(name)
        return values[-1] if values else None

    def push(self, name: Key, value: Value) -> None:
        """`$avp(name) = value`: push a value; None removes the newest."""
        values = self.named.get(name)
        if value is not None:
            if values is None:
                self.named[name] = [value]
            else:
                values.append(value)
        elif values:
            values.pop()
            if not values:
                del self.named[name]

    def get(self, name: Key, index: Index = None) -> Value:
        """`$(avp(name)[index])`."""
        values = self.named.get(name)
        return None if values is None else pick_avp(values, index)

    def set(self, name: Key, index: Index, value: Value) -> None:
        """`$(avp(name)[index]) = value`: `*` replaces all, a number pushes too.

        None removes the newest, whatever the number, or all with `*`.
        """
        if index != "*":
            self.push(name, value)
        elif value is not None:
            self.named[name] = [value]
        else:
            self.named.pop(name, None)

    def all(self, name: Key) -> list[Scalar]:
        """Every value, newest first."""
        return self.named.get(name, [])[::-1]

    def count(self, name: Key) -> int:
        return len(self.named.get(name, ()))
