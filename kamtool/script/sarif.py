"""Findings as SARIF 2.1.0 (OASIS), which editors and code hosts read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kamtool import __version__
from kamtool.errors import ConfigError
from kamtool.script.explain import EXPLANATIONS

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"error": "error", "warning": "warning", "hint": "note"}


def sarif(findings: Iterable[ConfigError]) -> dict[str, Any]:
    """One run with a result for each finding, and a rule for each code among them."""
    found = list(findings)
    codes = sorted({finding.code for finding in found})
    driver = {"name": "kamtool", "version": __version__, "rules": [_rule(code) for code in codes]}
    results = [_result(finding, codes.index(finding.code)) for finding in found]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    about = EXPLANATIONS[code]
    text = f"{about.text}\n\n{about.example}" if about.example else about.text
    return {
        "id": code,
        "shortDescription": {"text": about.title},
        "fullDescription": {"text": about.text},
        "help": {"text": text},
    }


def _result(finding: ConfigError, rule: int) -> dict[str, Any]:
    message = f"{finding.message}\n{finding.hint}" if finding.hint else finding.message
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": LEVELS[finding.severity],
        "message": {"text": message.encode("utf-8", "replace").decode()},
    }
    if finding.span.file:
        result["locations"] = [{"physicalLocation": _place(finding)}]
    return result


def _place(finding: ConfigError) -> dict[str, Any]:
    span = finding.span
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(span.file)}}
    if span.line:
        place["region"] = {
            "startLine": span.line,
            "startColumn": span.column,
            "endLine": span.end_line,
            "endColumn": span.end_column,
        }
    return place


def _uri(file: str) -> str:
    """A file's URI; a relative name stays relative to where the check ran."""
    return Path(file).as_uri() if os.path.isabs(file) else quote(os.fsencode(file))
