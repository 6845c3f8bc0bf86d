"""The files that belong together: those an editor has open, and what they include."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kamtool.script import check
from kamtool.script.program import Report
from kamtool.script.source import read
from kamtool.tools.lsp.document import Document, uri_of
from kamtool.tools.lsp.lore import modules_of
from kamtool.tools.lsp.names import Key, Name, defines_in, loads_in, names


@dataclass(frozen=True, slots=True)
class Place:
    """A name in a file."""

    document: Document
    name: Name


class Workspace:
    """Open documents by URI; included files are read when they are asked for, and kept until they change."""

    def __init__(self, defines: Mapping[str, str | None] | None = None) -> None:
        self.defines = dict(defines or {})
        self.is_wide = True
        self.open: dict[str, Document] = {}
        self._read: dict[Path, tuple[float, Document]] = {}

    def file(self, path: Path) -> Document | None:
        """A file as the editor has it, else as it is on the disk; None when it cannot be read."""
        uri = uri_of(path)
        if uri in self.open:
            return self.open[uri]
        try:
            changed = path.stat().st_mtime
            known = self._read.get(path)
            if known is None or known[0] != changed:
                known = changed, Document(uri, read(path), is_wide=self.is_wide)
                self._read[path] = known
        except (OSError, ValueError):
            return None
        return known[1]

    def included(self, document: Document, name: str) -> Path | None:
        """The file that an include in a document means."""
        places = [Path(name)] if document.path is None else [document.path.parent / name, Path(name)]
        for place in places:
            try:
                if place.is_file():
                    return place
            except (OSError, ValueError):
                return None
        return None

    def below(self, document: Document) -> list[Document]:
        """A document and all that it includes, each once."""
        found = [document]
        for one in found:
            for name in names(one.words, frozenset()):
                if name.key[0] == "include":
                    path = self.included(one, name.key[2])
                    other = self.file(path) if path else None
                    if other is not None and other not in found:
                        found.append(other)
        return found

    def family(self, document: Document) -> list[Document]:
        """The files that are read together with a document: below the open ones that lead to it, too."""
        found = self.below(document)
        for root in self.open.values():
            members = self.below(root)
            if document in members:
                found += [member for member in members if member not in found]
        return found

    def roots(self, document: Document) -> list[Document]:
        """The open documents to check when this one has changed: those that include it, else itself."""
        others = [
            root for root in self.open.values() if root is not document and document in self.below(root)
        ]
        return others or [document]

    # Names --------------------------------------------------------------------------------------------

    def defined(self, family: list[Document]) -> dict[str, tuple[str, Document, int]]:
        """Every define: its value, where it is made first."""
        found: dict[str, tuple[str, Document, int]] = {}
        for document in family:
            for name, (value, start) in defines_in(document.words).items():
                found.setdefault(name, (value, document, start))
        return found

    def modules(self, family: list[Document]) -> tuple[str, ...]:
        return modules_of(name for document in family for name, _ in loads_in(document.words))

    def places(self, family: list[Document]) -> Iterator[Place]:
        """Every name in these files."""
        defines = frozenset(self.defined(family))
        for document in family:
            for name in names(document.words, defines):
                yield Place(document, name)

    def key_at(self, document: Document, offset: int) -> Place | None:
        """What is named at a place."""
        for place in self.places(self.family(document)):
            if place.document is document and place.name.start <= offset <= place.name.end:
                return place
        return None

    def uses(self, document: Document, key: Key, *, definitions: bool = True) -> list[Place]:
        """Every place that names the same."""
        return [
            place
            for place in self.places(self.family(document))
            if place.name.key == key and (definitions or not place.name.defines)
        ]

    # The check ----------------------------------------------------------------------------------------

    def report(self, document: Document) -> Report:
        """What `kamtool check` finds in a document as it is in the editor."""
        name = str(document.path) if document.path else document.uri
        return check(document.text, defines=self.defines, name=name, path=document.path)
