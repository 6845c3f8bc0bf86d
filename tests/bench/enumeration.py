"""Whether the time of an answer tells which users exist: `python -m tests.bench.enumeration`.

`kamtool serve` on default.cfg with 1,000 accounts gets wrong passwords for accounts and for names that are
nobody's, in random order, each from an address of its own so that nothing is banned or blocked. Measured are
the CPU that the server used for each answer, as the kernel says, and the time until it came. The figure that
counts is the area under the curve (Mann-Whitney): 0.5 is no difference, 1 is certain knowledge from one
answer. With it stands how many answers somebody would need to tell the two apart (99 % sure).
"""

import argparse
import json
import random
import re
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

from kamtool.sip import digest
from tests.bench import proc
from tests.bench.servers import GENERATOR_CORE, HERE, Setup, running, subscribers

REALM = "bench.test"
MOST_AREA = 0.56


def register(host, port, user, number, credentials=""):
    return (
        f"REGISTER sip:{REALM} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{number}-{len(credentials)}\r\n"
        f"From: <sip:{user}@{REALM}>;tag=1\r\nTo: <sip:{user}@{REALM}>\r\nCall-ID: {number}\r\n"
        f"CSeq: {2 if credentials else 1} REGISTER\r\nContact: <sip:{user}@{host}:{port}>\r\n"
        f"Max-Forwards: 70\r\n"
        f"{credentials}Content-Length: 0\r\n\r\n"
    ).encode()


def attempt(subject, number, user):
    """One wrong password: microseconds of CPU and of waiting for the second answer, and its form."""
    host = f"127.{40 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind((host, 0))
        wire.connect(("127.0.0.1", subject.port))
        wire.settimeout(10)
        port = wire.getsockname()[1]
        wire.send(register(host, port, user, number))
        asked = digest.parse_challenge(value_of(wire.recv(65535)))
        given = digest.answer(asked, user, "wrong", method="REGISTER", uri=f"sip:{REALM}")
        data = register(host, port, user, number, f"Authorization: {given}\r\n")
        cpu, at = subject.cpu(), time.perf_counter()
        wire.send(data)
        answer = wire.recv(65535)
        waited = time.perf_counter() - at
        return {"cpu": (subject.cpu() - cpu) * 1e6, "wait": waited * 1e6, "answer": form(answer, user)}


def value_of(response):
    return re.search(rb"WWW-Authenticate: (.*)\r\n", response)[1].decode()


def form(answer, user):
    """The answer without what differs between any two: names, numbers, nonces."""
    text = answer.decode().replace(user, "USER")
    text = re.sub(r'nonce="[^"]*"', "nonce", text)
    return re.sub(r"127\.\d+\.\d+\.\d+|branch=\S+|Call-ID: \d+|:\d{4,5}|tag=[\w.-]+", "", text)


def area(known, unknown):
    """The chance that an answer for a known user took longer than one for an unknown, ties half."""
    both = sorted([(value, 0) for value in known] + [(value, 1) for value in unknown])
    ranks, at = 0.0, 0
    while at < len(both):
        end = at
        while end < len(both) and both[end][0] == both[at][0]:
            end += 1
        ranks += (at + end + 1) / 2 * sum(1 for _, kind in both[at:end] if kind == 0)
        at = end
    return (ranks - len(known) * (len(known) + 1) / 2) / (len(known) * len(unknown))


def needed(found):
    """Answers of each kind until the ranks differ by 2.6 standard errors, None if they never do."""
    off = abs(found - 0.5)
    return round((2.576 / off) ** 2 / 6) if off > 1e-9 else None


def measure(samples, seed=7):
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="bench-enumeration-") as folder:
        subscribers(Path(folder, "users.db"), 1000)
        names = (f'REALM="{REALM}"', f'DOMAIN="{REALM}"', f'DBURL="sqlite:///{folder}/users.db"')
        setup = Setup(cfg=HERE.parents[1] / "cfg" / "default.cfg", defines=names)
        with running("kamtool", setup) as subject, proc.pinned(GENERATOR_CORE):
            for number in range(200):
                attempt(subject, number, f"warm{number}")
            seen = {True: [], False: []}
            for number in range(200, 200 + 2 * samples):
                is_known = dice.random() < 0.5
                user = f"u{dice.randrange(1000) if is_known else dice.randrange(10**6, 10**7):07d}"
                seen[is_known].append(attempt(subject, number, user))
    answers = {one["answer"] for all_ in seen.values() for one in all_}
    rows = {"samples": samples, "answers alike": len(answers) == 1}
    for what in ("cpu", "wait"):
        known, unknown = ([one[what] for one in seen[kind]] for kind in (True, False))
        found = area(known, unknown)
        rows[what] = {
            "known us": statistics.median(known), "unknown us": statistics.median(unknown), "area": found,
            "answers needed": needed(found),
            "noise": 2.576 * ((len(known) + len(unknown) + 1) / (12 * len(known) * len(unknown))) ** 0.5,
        }  # fmt: skip
    return rows


def line(row):
    parts = [f"{row['samples']} answers of each, {'all alike' if row['answers alike'] else 'NOT ALIKE'}"]
    for what in ("cpu", "wait"):
        one = row[what]
        parts.append(
            f"{what} {one['known us']:.0f} us known, {one['unknown us']:.0f} unknown, area {one['area']:.3f} "
            f"(noise {one['noise']:.3f})"
        )
    return "; ".join(parts)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.enumeration", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--samples", type=int, default=4000, help="of each kind, about")
    parser.add_argument("--json", type=Path, default=Path("build/enumeration.json"), help="where it goes")
    options = parser.parse_args()
    row = measure(options.samples)
    print(line(row))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(row, indent=1) + "\n")
    return 0 if row["answers alike"] and abs(row["cpu"]["area"] - 0.5) < MOST_AREA - 0.5 else 1


if __name__ == "__main__":
    sys.exit(main())
