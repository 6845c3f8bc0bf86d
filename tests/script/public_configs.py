"""Public cfgs by repository, commit and path: fetched when they are wanted, never kept in the project.

The list stands beside the checkout. `python -m tests.script.public_configs > tests/script/public_configs.csv`
writes the table of what kamtool says of each. $KAMTOOL_PUBLIC_CONFIGS names a folder that keeps what was
fetched, as `owner/name/commit/path`.
"""

import csv
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from kamtool import script as language

LIST = Path(__file__).parents[2] / "../shared/conformance/public_configs.json"
RAW = "https://raw.githubusercontent.com"
COLUMNS = ("repository", "commit", "path", "kamailio 5.6.3", "kamtool", "reason")
MOST_INCLUDES = 40


def listed():
    """Every entry of the list, [] where it is missing."""
    return json.loads(LIST.read_text())["files"] if LIST.is_file() else []


def is_reachable():
    """Whether files can be fetched."""
    try:
        urllib.request.urlopen(f"{RAW}/kamailio/kamailio/master/README.md", timeout=5).close()
    except OSError:
        return False
    return True


def fetch(entry, name, folder):
    """One file of a repository into `folder`; its path, None when there is none of that name."""
    base = Path(folder) / entry["repo"] / entry["commit"]
    path = base / name
    if not path.is_file():
        if os.environ.get("KAMTOOL_PUBLIC_CONFIGS"):
            return None
        url = f"{RAW}/{entry['repo']}/{entry['commit']}/{urllib.parse.quote(name)}"
        try:
            content = urllib.request.urlopen(url, timeout=30).read()
        except urllib.error.HTTPError:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path


def check(entry, folder):
    """The report on a cfg, with the files that it includes beside it; None when it cannot be had."""
    path = fetch(entry, entry["path"], folder)
    if path is None:
        return None
    asked = set()
    while True:
        report = language.check(path)
        wanted = {
            error.message.split("'")[1] for error in report.errors
            if error.code == "KT1017" and error.message.startswith("there is no file")
        } - asked  # fmt: skip
        if not wanted or len(asked) > MOST_INCLUDES:
            return report
        asked |= wanted
        for name in wanted:
            if not name.startswith("/"):
                fetch(entry, str(Path(entry["path"]).parent / name), folder)


def missing_modules(report):
    """The modules that kamtool does not have."""
    return sorted({e.message.split("`")[1] for e in report.errors if e.code == "KT1200"})


def verdict(report):
    """Two words and the reason: it loads, it needs modules, or it is refused."""
    if report is None:
        return "not fetched", ""
    others = [error for error in report.errors if error.code != "KT1200"]
    needs = " ".join(missing_modules(report))
    if not report.errors:
        return "loads", ""
    if not others:
        return "needs modules", needs
    first = others[0]
    reason = f"line {first.span.line}: {first.code}"
    return "refused", f"{reason}; needs {needs}" if needs else reason


def main():
    """The table as CSV on stdout."""
    folder = os.environ["KAMTOOL_PUBLIC_CONFIGS"]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in listed():
        said = "accepts" if entry["kamailio_5_6_3_accepts"] else "refuses"
        writer.writerow(
            (entry["repo"], entry["commit"][:12], entry["path"], said, *verdict(check(entry, folder)))
        )


if __name__ == "__main__":
    main()
