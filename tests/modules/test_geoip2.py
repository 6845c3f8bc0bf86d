"""geoip2: countries of addresses, from a small database made here."""

from pathlib import Path

import pytest

from kamtool.errors import ConfigError, RpcError
from kamtool.store.migrate import migrate
from tests.support.server import port_of

netaddr = pytest.importorskip("netaddr")
mmdb_writer = pytest.importorskip("mmdb_writer")


@pytest.fixture
def countries(tmp_path):
    def make(name="c.mmdb", code="DE"):
        writer = mmdb_writer.MMDBWriter(6, "GeoLite2-City", languages=["en"], ipv4_compatible=True)
        writer.insert_network(
            netaddr.IPSet(["127.0.0.0/24"]),
            {
                "country": {"iso_code": code, "names": {"en": "Germany"}},
                "location": {"time_zone": "Europe/Berlin", "latitude": 52.5, "metro_code": 7},
                "city": {"names": {"en": "Berlin"}},
                "subdivisions": [{"iso_code": "BE", "names": {"en": "Land Berlin"}}],
            },
        )
        path = tmp_path / name
        writer.to_db_file(str(path))
        return path

    return make


def cfg(path, body):
    return (
        '#!KAMAILIO\nloadmodule "sl.so"\nloadmodule "pv.so"\nloadmodule "geoip2.so"\n'
        f'modparam("geoip2", "path", "{path}")\nrequest_route {{ {body} }}\n'
    )


async def said(server, peer):
    phone = await peer()
    phone.send(phone.request("OPTIONS", "sip:x@example.com"), port_of(server))
    return (await phone.expect()).data.split(b"\r\n")[0].decode().split(" ", 2)[2]


async def test_an_address_is_found_with_all_that_is_known_of_it(kamtool, peer, countries):
    body = """
        if (geoip2_match("$si", "src")) {
            sl_send_reply("200", "$gip2(src=>cc) $gip2(src=>tz) $gip2(src=>city) $gip2(src=>regc)"
                + " $gip2(src=>lat) $gip2(src=>metro) $gip2(src=>nmask) $gip2(src=>ips)"
                + " $gip2(src=>zip) $gip2(other=>cc)");
        }"""
    server = await kamtool(cfg(countries(), body))
    assert await said(server, peer) == "DE Europe/Berlin Berlin BE 52.5 7 24 127.0.0.0 <null> <null>"


@pytest.mark.parametrize("address", ["192.0.2.1", "::1", "no address", ""])
async def test_what_is_not_in_the_database_is_not_found(kamtool, peer, countries, address):
    body = f'if (!geoip2_match("{address}", "src")) sl_send_reply("200", "unknown $gip2(src=>cc)");'
    server = await kamtool(cfg(countries(), body))
    assert await said(server, peer) == "unknown <null>"


async def test_a_reload_takes_the_new_file_or_keeps_the_old_one(kamtool, peer, countries):
    path = countries()
    server = await kamtool(cfg(path, 'geoip2_match("$si", "s"); sl_send_reply("200", "$gip2(s=>cc)");'))
    countries(code="FR")
    await server.modules["geoip2"].rpc_reload()
    assert await said(server, peer) == "FR"
    path.write_bytes(b"garbage")
    with pytest.raises(RpcError, match="no GeoIP2 database"):
        await server.modules["geoip2"].rpc_reload()
    assert await said(server, peer) == "FR"


@pytest.mark.parametrize("content", [None, b"", b"x" * 5000])
async def test_a_file_that_is_no_database_is_refused(kamtool, tmp_path, content):
    path = tmp_path / "x.mmdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="geoip2"):
        await kamtool(cfg(path, "exit;"))


@pytest.mark.parametrize("define", ["BLOCKED_COUNTRIES", "COUNTRIES"])
async def test_default_cfg_does_not_start_with_countries_and_no_database(kamtool, tmp_path, define):
    database = tmp_path / "k.db"
    migrate(database)
    defines = {"DBURL": f'"sqlite:///{database}"', define: '"^(DE|AT)$"'}
    with pytest.raises(ConfigError, match=f"{define} needs GEOIPDB"):
        await kamtool(Path(__file__).parents[2] / "cfg/default.cfg", defines=defines)


@pytest.mark.parametrize(("define", "heard"), [("BLOCKED_COUNTRIES", False), ("COUNTRIES", True)])
async def test_default_cfg_hears_strangers_of_the_countries_it_was_told(
    kamtool, peer, countries, tmp_path, define, heard
):

    database = tmp_path / "k.db"
    migrate(database)
    server = await kamtool(
        Path(__file__).parents[2] / "cfg/default.cfg",
        listens=(("udp", "127.0.0.1"),),
        defines={"DBURL": f'"sqlite:///{database}"', "GEOIPDB": f'"{countries()}"', define: '"^(DE|AT)$"'},
    )
    stranger = await peer("127.0.0.77")
    port = port_of(server)
    stranger.send(stranger.request("OPTIONS", f"sip:127.0.0.1:{port}"), port, "127.0.0.1")
    if heard:
        await stranger.expect(200)
    else:
        await stranger.silence()
