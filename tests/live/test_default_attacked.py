"""default.cfg under attack: scanners, guesses, invented dialogs; and what `kamtool ban` does about it."""

import asyncio
import json
import re
import secrets

import pytest

from kamtool.server import control
from kamtool.sip.flow import Address
from tests.support.process import Served

pytestmark = pytest.mark.live

STRANGER = "127.0.0.9"


@pytest.fixture
def office(tmp_path, free_port):
    """A server of its own for each test: a ban outlives what caused it."""
    server = Served(tmp_path, free_port()).start()
    server.add_user("alice", "wonderland")
    server.address = Address("127.0.0.1", server.port)
    yield server
    assert server.end() == 0
    assert "Traceback" not in server.log(), server.log()


async def bans(office):
    dumped = await asyncio.to_thread(control.ask, office.folder / "control.sock", "htable.dump", ["ban"])
    return {item["name"]: item["value"] for slot in dumped for item in slot["slot"]}


def ask(office, peer, branch, headers=""):
    """An OPTIONS to the server itself."""
    text = peer.request("OPTIONS", f"sip:127.0.0.1:{office.port}", branch=branch, headers=headers)
    peer.send(text, office.port, "127.0.0.1")


def listed(office):
    return json.loads(office.cli("ban", "list", "-o", "json").stdout)


async def test_a_scanner_hears_nothing_and_is_banned(office, peer):
    scanner = await peer(STRANGER)
    ask(office, scanner, "1", headers="User-Agent: friendly-scanner\r\n")
    await scanner.silence()
    assert await bans(office) == {STRANGER: "scanner"}
    ask(office, scanner, "2")
    await scanner.silence()

    assert [row["address"] for row in listed(office)] == [STRANGER]
    assert office.cli("ban", "rm", STRANGER).returncode == 0
    ask(office, scanner, "3")
    await scanner.expect(200)


async def test_an_exempt_address_is_never_banned(office, peer):
    assert office.cli("ban", "add", STRANGER, "--exempt").returncode == 0
    monitor = await peer(STRANGER)
    for number in range(250):
        ask(office, monitor, str(number))
        await monitor.expect(200)


async def test_a_flood_bans_its_source_and_no_other(office, peer):
    flooder, neighbour = await peer(STRANGER), await peer("127.0.0.10")
    for number in range(400):
        ask(office, flooder, f"f{number}")
        if number % 50 == 0:
            await asyncio.sleep(0)
    ask(office, neighbour, "1")
    await neighbour.expect(200)
    for _ in range(100):
        if await bans(office):
            break
        await asyncio.sleep(0.1)
    assert await bans(office) == {STRANGER: "flood"}


async def test_a_second_offence_bans_for_twice_as_long(office, peer):
    scanner = await peer(STRANGER)
    for number, most in ((1, 300), (2, 600)):
        ask(office, scanner, str(number), headers="User-Agent: friendly-scanner\r\n")
        await scanner.silence(0.2)
        (row,) = listed(office)
        assert (row["times"], most - 60 < row["seconds"] <= most) == (number, True)
        await asyncio.to_thread(
            control.ask, office.folder / "control.sock", "htable.delete", ["ban", STRANGER]
        )


async def test_the_right_password_does_not_help_who_has_guessed_ten_times(office, phone):
    guesser = await phone("alice", office.address, password="wrong", local=Address(STRANGER, 0))
    for _ in range(10):
        assert (await guesser.register()).status == 401
    guesser.password = "wonderland"
    assert (await guesser.register()).status == 403


async def test_an_unknown_user_is_refused_like_a_known_one(office, phone):
    guesser = await phone("nobody", office.address, password="wrong", local=Address(STRANGER, 0))
    assert [(await guesser.register()).status for _ in range(11)] == [401] * 10 + [403]


async def test_a_dialog_that_was_never_set_up_is_not_relayed(office, peer):
    """Neither with a Route of ours that nobody gave, nor with one that another call was given."""
    stranger, victim = await peer(), await peer()
    for number, route in enumerate((
        f"<sip:127.0.0.1:{office.port};lr;ftag=peer>",
        f"<sip:127.0.0.1:{office.port};lr;ftag=peer;key=0123456789abcdef>",
        f"<sip:127.0.0.1:{office.port};lr;ftag=other;key=>, <sip:127.0.0.1:{victim.port};lr>",
    )):  # fmt: skip
        stranger.send(
            stranger.request(
                "INVITE", victim.uri, to_tag="x", call_id=f"invented{number}", branch=f"i{number}",
                headers=f"Route: {route}\r\n",
            ),
            office.port,
        )  # fmt: skip
        await stranger.expect(403)
    await victim.silence()


async def test_bans_outlive_a_restart(tmp_path, free_port):
    server = Served(tmp_path, free_port()).start()
    assert server.cli("ban", "add", "192.0.2.1", "--reason", "test", "--for", "1h").returncode == 0
    assert server.end() == 0
    again = Served(tmp_path, free_port()).start()
    (row,) = listed(again)
    assert (row["address"], row["reason"]) == ("192.0.2.1", "test")
    assert 3000 < row["seconds"] <= 3600
    assert again.end() == 0


@pytest.mark.parametrize(
    ("agent", "offered"),
    [
        ("Linphone Desktop/5.1", ["SHA-256", "MD5"]), ("baresip v1.0.0 (x86_64/linux)", [""]), ("", [""]),
        ("SIPp", [""]), ("baresip v3.16.0", ["SHA-256", "MD5"]),
    ],
)  # fmt: skip
async def test_sha_256_is_offered_before_md5_to_who_can_stand_it(office, peer, agent, offered):
    assert await challenges(office, await peer(STRANGER), agent) == offered


async def challenges(office, phone, agent="Linphone"):
    """The algorithms that a REGISTER is offered, in order; "" is no name, which means MD5."""
    header = f"User-Agent: {agent}\r\n" if agent else ""
    request = phone.request(
        "REGISTER",
        f"sip:127.0.0.1:{office.port}",
        branch=secrets.token_hex(8),
        call_id=secrets.token_hex(8),
        headers=header,
    )
    phone.send(request, office.port, "127.0.0.1")
    offers = (await phone.expect(401)).headers("WWW-Authenticate")
    return [re.sub(r".*algorithm=([^,]*).*|.*", r"\1", offer) for offer in offers]


async def test_an_account_with_a_hash_by_md5_alone_makes_md5_the_offer_to_all(office, peer):
    phone = await peer(STRANGER)
    file = office.folder / "users.csv"
    file.write_text(f"username,domain,ha1,ha1b\nbob,,{'0' * 32},{'0' * 32}\n")
    done = office.cli("user", "import", file)
    assert done.returncode == 0, done.stderr
    assert await challenges(office, phone) == [""]
    done = office.cli("user", "rm", "--yes", "bob")
    assert done.returncode == 0, done.stderr
    assert await challenges(office, phone) == ["SHA-256", "MD5"]


async def test_an_answer_by_sha_256_is_good(office, phone):
    alice = await phone("alice", office.address, password="wonderland")
    given, credentials = [], alice.credentials
    alice.credentials = lambda *asked: given.append(credentials(*asked)) or given[-1]
    assert (await alice.register(headers=[("User-Agent", "Linphone")])).status == 200
    assert "algorithm=SHA-256" in given[0][1]


async def test_bans_move_from_one_server_to_another_as_a_file(office, tmp_path):
    file = tmp_path / "bans.txt"
    file.write_text(
        "# ours\n192.0.2.1 1h scanner from the fair\n2001:db8::1 never\n\n192.0.2.2 15m fax # spam\n"
    )
    assert office.cli("ban", "import", file).returncode == 0
    assert await bans(office) == {
        "192.0.2.1": "scanner from the fair", "2001:db8::1": "imported", "192.0.2.2": "fax",
    }  # fmt: skip
    exported = office.cli("ban", "export").stdout
    assert "2001:db8::1 never imported\n" in exported
    assert office.cli("ban", "rm", "--all").returncode == 0
    assert await bans(office) == {}
    file.write_text(exported)
    assert office.cli("ban", "import", "--replace", file).returncode == 0
    assert len(await bans(office)) == 3


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("192.0.2.300 1h x", "'192.0.2.300' is no address"),
        ("192.0.2.0/24 1h x", "a network is for the firewall"),
        ("192.0.2.9 soon x", "'soon' is no time"),
        ("192.0.2.9 99999999999w x", "is no time"),
        ("192.0.2.9", "a line is ADDRESS TIME REASON"),
        (f"192.0.2.9 1h {'x' * 101}", "a reason is a text"),
    ],
)
async def test_a_bad_line_is_named_and_nothing_is_imported(office, tmp_path, line, said):
    file = tmp_path / "bans.txt"
    file.write_text(f"192.0.2.1 1h good\n{line}\n")
    done = office.cli("ban", "import", file)
    assert done.returncode == 1
    assert f"{file}:2:" in done.stderr
    assert said in done.stderr
    assert await bans(office) == {}


@pytest.mark.parametrize("line", [b"192.0.2.9 1h \xff\xfe", b"192.0.2.\xff 1h x", b"192.0.2.9 1\xff x"])
async def test_a_line_that_is_no_text_is_named_too(office, tmp_path, line):
    file = tmp_path / "bans.txt"
    file.write_bytes(b"192.0.2.1 1h good\n" + line + b"\n")
    done = office.cli("ban", "import", file)
    assert (done.returncode, f"{file}:2:" in done.stderr) == (1, True), done.stderr
    assert await bans(office) == {}


async def test_of_two_lines_for_one_address_the_later_counts(office, tmp_path):
    file = tmp_path / "bans.txt"
    file.write_text("192.0.2.1 1h first\n192.0.2.1 2h second\n")
    assert office.cli("ban", "import", file).stderr == "1 bans imported\n"
    assert await bans(office) == {"192.0.2.1": "second"}


def test_lifting_a_ban_that_is_none_says_so(office):
    assert office.cli("ban", "rm", "192.0.2.77").returncode == 3


def test_a_cfg_without_bans_says_what_it_lacks(tmp_path, free_port):
    cfg = tmp_path / "plain.cfg"
    cfg.write_text('#!KAMAILIO\nloadmodule "pv.so"\nloadmodule "htable.so"\nrequest_route { exit; }\n')
    server = Served(tmp_path, free_port()).start("-f", cfg)
    done = server.cli("ban", "list")
    assert done.returncode == 3
    assert "the running cfg has no bans" in done.stderr
    assert server.end() == 0
