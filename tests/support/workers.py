"""Peers of a server with several workers: `$pp` in an answer says which worker gave it."""

import json

from tests.support.until import until

CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "pv.so"
#!ifdef DBURL
loadmodule "db_sqlite.so"
#!endif
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "htable.so"
#!ifdef DBURL
modparam("usrloc", "db_url", DBURL)
modparam("usrloc", "db_mode", 1)
modparam("usrloc", "durable", 1)
#!endif
modparam("htable", "htable", "t=>size=8;initval=0")
modparam("tm", "fr_timer", 8000)
request_route {
    if (is_method("OPTIONS")) {
        if ($rU == "count") $var(n) = $shtinc(t=>n);
        sl_send_reply("200", "$pp $sht(t=>n)");
        exit;
    }
    if (is_method("REGISTER")) { save("location"); exit; }
    if (is_method("CANCEL")) {
        t_relay();
        exit;
        exit;
    }
    if (!is_method("ACK")) record_route();
    if (loose_route()) { t_relay(); exit; }
    if (!lookup("location")) { sl_send_reply("404", "$pp"); exit; }
    t_relay();
}
"""


def cfg_file(tmp_path, text=CFG):
    """The cfg as a file."""
    path = tmp_path / "workers.cfg"
    path.write_text(text)
    return path


def worker_pids(server):
    """The processes of the workers, worker 0 first."""
    done = server.cli("rpc", "-o", "json", "core.psx")
    assert done.returncode == 0, done.stderr
    return [row["PID"] for row in json.loads(done.stdout)[1:]]


async def successor(server, victim, others):
    """The process that runs in the place of a worker that was killed, once it does; `others` are the rest."""
    found = set()

    def is_there():
        done = server.cli("rpc", "-o", "json", "core.psx")
        found.clear()
        if done.returncode == 0:
            found.update(row["PID"] for row in json.loads(done.stdout)[1:])
        return victim not in found and len(found) == len(others) + 1

    await until(is_there)
    (heir,) = found - set(others)
    return heir


async def worker_of(peer, port):
    """The process that the kernel gives this peer's datagrams to."""
    peer.send(peer.request("OPTIONS", f"sip:127.0.0.1:{port}", branch=f"who{peer.port}"), port)
    return int((await peer.expect("200")).reason.split()[0])


async def one_for_each(peer, port, size):
    """A peer by worker process; the kernel spreads them by their ports."""
    found = {}
    for _ in range(200):
        one = await peer()
        found.setdefault(await worker_of(one, port), one)
        if len(found) == size:
            return found
    raise AssertionError(f"only {len(found)} workers are met")


async def register(peer, port, user, transport="udp"):
    """Register the peer as `user`."""
    uri = peer.uri.replace("peer@", f"{user}@")
    headers = f"Contact: <{uri}>;expires=600\r\n"
    text = peer.request(
        "REGISTER", "sip:example.com", branch=f"r{user}", call_id=f"reg-{user}", headers=headers
    )
    peer.send(text.replace("<sip:you@example.com>", f"<sip:{user}@example.com>"), port)
    return await peer.expect("200")
