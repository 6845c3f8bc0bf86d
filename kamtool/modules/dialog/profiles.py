"""Profiles: named sets of dialogs, with a value each or without, and their sizes."""

from __future__ import annotations

from collections import Counter
from itertools import count
from os import urandom

from kamtool.errors import ConfigError, ScriptError
from kamtool.modules.dialog.state import Dialog, Profile


class Profiles:
    """Every profile that a modparam names. A size costs the same however many dialogs there are."""

    def __init__(self) -> None:
        self.valued: dict[str, bool] = {}
        self._dialogs: dict[tuple[str, str], dict[str, Dialog]] = {}
        self._remote: dict[tuple[str, str], dict[str, float]] = {}
        self._sizes: Counter[str] = Counter()
        self._prefix = f"dlgp-{urandom(4).hex()}"
        self._numbers = count(1)

    def define(self, text: str, *, valued: bool) -> None:
        """Names between semicolons. Raises ConfigError."""
        for name in filter(None, (part.strip() for part in text.split(";"))):
            if not name.replace("_", "").isalnum():
                raise ConfigError(f"dialog: {name!r} is no name of a profile", code="KT1201")
            if self.valued.setdefault(name, valued) is not valued:
                raise ConfigError(
                    f"dialog: the profile {name!r} is declared with values and without", code="KT1201"
                )

    def _place(self, name: str, value: str) -> tuple[str, str]:
        if name not in self.valued:
            raise ScriptError(f"there is no dialog profile {name!r}")
        return name, value if self.valued[name] else ""

    def add(self, dialog: Dialog, name: str, value: str, key: str = "") -> None:
        """Put a dialog into a profile. It counts as often as it is put there."""
        place = self._place(name, value)
        key = key or f"{self._prefix}-{next(self._numbers)}"
        dialog.profiles.append(Profile(*place, key))
        self._dialogs.setdefault(place, {})[key] = dialog
        self._sizes[name] += 1

    def discard(self, dialog: Dialog, name: str, value: str) -> bool:
        """Take a dialog out of a profile once; false when it is not in it."""
        place = self._place(name, value)
        for profile in dialog.profiles:
            if (profile.name, profile.value) == place:
                dialog.profiles.remove(profile)
                self._drop(profile)
                return True
        return False

    def leave(self, dialog: Dialog) -> None:
        """Take a dialog out of all of them."""
        for profile in dialog.profiles:
            self._drop(profile)
        dialog.profiles = []

    def _drop(self, profile: Profile) -> None:
        place = (profile.name, profile.value)
        members = self._dialogs.get(place, {})
        if members.pop(profile.key, None) is not None:
            self._sizes[profile.name] -= 1
        if not members:
            self._dialogs.pop(place, None)

    def holds(self, dialog: Dialog, name: str, value: str | None) -> bool:
        """Whether a dialog is in a profile, with this value if one is given."""
        place = self._place(name, value or "")
        anything = value is None or not self.valued[name]
        return any(each.name == name and (anything or each.value == place[1]) for each in dialog.profiles)

    def size(self, name: str, value: str | None = None) -> int:
        """How many are in a profile, here and on other servers."""
        if name not in self.valued:
            raise ScriptError(f"there is no dialog profile {name!r}")
        if value is None or not self.valued[name]:
            others = sum(len(keys) for place, keys in self._remote.items() if place[0] == name)
            return self._sizes[name] + others
        place = (name, value)
        return len(self._dialogs.get(place, ())) + len(self._remote.get(place, ()))

    def members(self, name: str, value: str | None = None) -> list[Dialog]:
        """The dialogs in a profile, each once."""
        if name not in self.valued:
            raise ScriptError(f"there is no dialog profile {name!r}")
        if value is not None and self.valued[name]:
            return list(dict.fromkeys(self._dialogs.get((name, value), {}).values()))
        lists = (keys.values() for place, keys in self._dialogs.items() if place[0] == name)
        return list(dict.fromkeys(dialog for each in lists for dialog in each))

    # Dialogs of other servers

    def add_remote(self, name: str, value: str, key: str, until_epoch: float) -> None:
        """Count a dialog of another server, until it is removed or the moment comes."""
        self._remote.setdefault(self._place(name, value), {})[key] = until_epoch

    def remove_remote(self, name: str, value: str, key: str) -> bool:
        """Count it no longer; false when it was not known."""
        place = self._place(name, value)
        members = self._remote.get(place, {})
        known = members.pop(key, None) is not None
        if not members:
            self._remote.pop(place, None)
        return known

    def expire(self, epoch: float) -> None:
        """Forget the dialogs of other servers whose time is up."""
        for (name, value), keys in list(self._remote.items()):
            for key in [key for key, until in keys.items() if until <= epoch]:
                self.remove_remote(name, value, key)
