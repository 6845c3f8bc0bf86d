"""The driver: fuzzes one target or all, keeps what is new in coverage, exits 1 when something failed."""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS, module_of

KEPT_BYTES = 48_000
MAX_LENGTH = 4096
SLOW_SECONDS = 5


def main() -> int:
    options = arguments()
    if find_spec("atheris") is None:
        print("needs atheris: pip install atheris", file=sys.stderr)
        return 2
    targets = TARGETS if options.target == "all" else (options.target,)
    failed = [target for target in targets if not fuzz(target, options)]
    for target in failed:
        print(f"{target}: FAILED; its input is in {options.artifacts}")
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Coverage-guided fuzzing.")
    parser.add_argument("target", choices=(*TARGETS, "all"))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--keep", action="store_true", help="write what is new into tests/fuzz/corpus")
    parser.add_argument("--artifacts", type=Path, default=Path("build/fuzz"), help="where failing inputs go")
    return parser.parse_args()


def fuzz(target: str, options: argparse.Namespace) -> bool:
    """Run one target; True when nothing failed."""
    options.artifacts.mkdir(parents=True, exist_ok=True)
    module = module_of(target)
    length = getattr(module, "MAX_LENGTH", MAX_LENGTH)
    log = options.artifacts / f"{target}.log"
    with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
        found = Path(directory, "found")
        lay_out(found, [*corpus.read(target), *module.seeds()])
        good = child(
            log, target, f"-max_total_time={options.seconds}", f"-timeout={SLOW_SECONDS}",
            "-rss_limit_mb=2048", f"-max_len={length}", f"-artifact_prefix={options.artifacts}/{target}-",
            str(found),
        )  # fmt: skip
        print(f"{target}: {last_words(log)}", flush=True)
        if good and options.keep:
            kept = corpus.write(target, [path.read_bytes() for path in found.iterdir()], KEPT_BYTES)
            print(f"{target}: {kept} inputs kept", flush=True)
    return good


def child(log: Path, target: str, *words: str) -> bool:
    """atheris in a process of its own, on the pure twin: Python is what it sees the coverage of."""
    command = [sys.executable, "-m", "tests.fuzz.under_atheris", target, *words]
    with log.open("wb") as output:
        done = subprocess.run(
            command, env={**os.environ, "KAMTOOL_PURE": "1"}, stdout=output, stderr=output, check=False
        )
    return done.returncode == 0


def last_words(log: Path) -> str:
    """How it ended: the coverage, or the exception."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    for place, line in enumerate(lines):
        if "Uncaught Python exception" in line:
            return " ".join(lines[place : place + 3])[:1000]
    done = [line for line in lines if "DONE" in line or "Done " in line or "ERROR" in line]
    return "; ".join(" ".join(line.split()) for line in done) or lines[-1]


def lay_out(folder: Path, inputs: Iterable[bytes]) -> None:
    folder.mkdir()
    for number, data in enumerate(inputs):
        (folder / f"{number:05}").write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
