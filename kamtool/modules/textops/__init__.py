"""Work on a message as text: search, replace, add and remove headers and bodies."""

from __future__ import annotations

from kamtool.module import Module
from kamtool.modules.textops.body import BodyFunctions
from kamtool.modules.textops.compare import CompareFunctions
from kamtool.modules.textops.headers import HeaderFunctions
from kamtool.modules.textops.multipart import MultipartFunctions
from kamtool.modules.textops.search import SearchFunctions
from kamtool.modules.textops.substitute import SubstituteFunctions


class Textops(
    SearchFunctions,
    SubstituteFunctions,
    HeaderFunctions,
    BodyFunctions,
    MultipartFunctions,
    CompareFunctions,
    Module,
):
    """Searches and changes a message as text.

    It all looks at the message as it was received: a change is queued and is seen by later functions only
    after `msg_apply_changes()` of textopsx. Regular expressions are extended ones and ignore case; `^` and
    `$` match at every line.
    """

    name = "textops"
