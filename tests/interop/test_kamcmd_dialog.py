"""Kamailio's own kamcmd lists, counts and ends the calls that kamtool tracks."""

import asyncio
import shutil

import pytest

from tests.modules.test_dialog import LOAD, ROUTES, Call
from tests.support.until import SOON

pytestmark = pytest.mark.skipif(
    not shutil.which("kamcmd"), reason="kamcmd is not installed (Debian: kamailio)"
)


async def kamcmd(socket, *words):
    process = await asyncio.create_subprocess_exec(
        "kamcmd",
        "-s",
        f"unix:{socket}",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), SOON)
    return (out + err).decode()


async def test_kamcmd_lists_and_ends_a_call(kamtool, peer, tmp_path):
    socket = tmp_path / "ctl.sock"
    ctl = f'loadmodule "ctl.so"\nmodparam("ctl", "binrpc", "unix:{socket}")\n'
    server = await kamtool(LOAD + ctl + ROUTES)
    call = Call(server, await peer(), await peer())
    await call.establish()
    listed = await kamcmd(socket, "dlg.list")
    for line in ("call-id: c1", "state: 4", "tag: peer", "caller: peer", "k: v"):
        assert f"\t{line}\n" in listed
    assert (await kamcmd(socket, "dlg.profile_get_size", "caller", "peer")).strip() == "1"
    assert "ongoing: 1" in await kamcmd(socket, "dlg.stats_active")
    assert "error: 404 - Dialog not found" in await kamcmd(socket, "dlg.end_dlg", "1", "1")
    await kamcmd(socket, "dlg.terminate_dlg", "c1", "peer", "you")
    await call.caller.expect("BYE")
    await call.callee.expect("BYE")
