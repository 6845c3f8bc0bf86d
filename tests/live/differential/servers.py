# ruff: noqa: ASYNC220, ASYNC240
"""The two servers: ours in this process, Kamailio as a child."""

import asyncio
import contextlib
import socket
import subprocess
from pathlib import Path

from kamtool.script import load
from kamtool.server.options import Options
from kamtool.server.server import Server
from kamtool.sip.flow import Address, Socket
from tests.support.ports import OURS

from .cfg import text_of
from .stage import run


async def all_of(scenarios, port, second, family):
    names = [name for name, (of, _) in scenarios.items() if of == family]
    results = await asyncio.gather(*(run(name, scenarios[name][1], port, second) for name in names))
    return dict(zip(names, results, strict=True))


async def ask_kamtool(scenarios, family, before=""):
    """What kamtool does in each scenario of the family, `before` put in front of the cfg."""
    one, two = OURS.choose(), OURS.choose()
    listens = [Socket("udp", Address("127.0.0.1", port)) for port in (one, two)]
    server = Server(load(before + text_of(family)), options=Options(listens=listens, freeze=False, drain=0))
    await server.start()
    try:
        return await all_of(scenarios, one, two, family)
    finally:
        await server.stop()


async def ask_kamailio(scenarios, family, folder):
    """What the installed Kamailio does."""
    one, two = OURS.choose(), OURS.choose()
    cfg = Path(folder) / f"{family}.cfg"
    listen = f"listen=udp:127.0.0.1:{one}\nlisten=udp:127.0.0.1:{two}\nchildren=1\n"
    cfg.write_text(text_of(family).replace("disable_tcp=yes\n", "disable_tcp=yes\n" + listen, 1))
    log = (Path(folder) / f"{family}.log").open("wb")
    child = subprocess.Popen(
        ["kamailio", "-x", "fm", "-DD", "-E", "-m", "64", "-f", cfg, "-Y", folder,
         "-P", Path(folder) / "pid"],
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        await _answering(one, child, log.name)
        return await all_of(scenarios, one, two, family)
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        child.wait(30)
        log.close()


async def _answering(port, child, log):
    """Wait until it answers a request of its own."""
    loop = asyncio.get_running_loop()
    text = (
        "OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{0};branch=z9hG4bKup{1}\r\n"
        "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: up\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 0\r\n"
        "X-Case: sl\r\nContent-Length: 0\r\n\r\n"
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        probe.setblocking(False)
        for attempt in range(100):
            assert child.poll() is None, Path(log).read_text(errors="replace")
            probe.sendto(text.format(probe.getsockname()[1], attempt).encode(), ("127.0.0.1", port))
            try:
                await asyncio.wait_for(loop.sock_recv(probe, 65536), 0.2)
                return
            except TimeoutError:
                continue
    raise AssertionError(Path(log).read_text(errors="replace"))
