"""userblocklist: what Kamailio 5.6.3 answered for the same rows and numbers."""

import pytest

from tests.support.script import OPTIONS

NUMBERS = [
    "49123", "493012", "4930", "1999", "7", "555", "+49123", "tel", "49900", "4990011", "4990012", "0049123",
]  # fmt: skip


@pytest.fixture
def run(script, rows):
    for user, domain, prefix, allowed in [
        ("alice", "example.org", "49", 0), ("alice", "example.org", "4930", 1), ("alice", "", "1", 0),
        ("bob", "example.org", "7", 0),
    ]:  # fmt: skip
        rows.add("userblocklist", username=user, domain=domain, prefix=prefix, allowlist=allowed)
    for prefix, allowed in [("49900", 0), ("4990012", 1), ("55", 0)]:
        rows.add("globalblocklist", prefix=prefix, allowlist=allowed)
    return lambda call, *lines: script(
        *rows.lines("userblocklist"), *lines, f"request_route {{ {call} $avp(rc) = $rc; }}"
    )


def passed(run, numbers=NUMBERS):
    """Those of the numbers that pass, dialled and as the header X-Num."""
    texts = {
        number: OPTIONS.replace("sip:alice@example.com;transport=udp", f"sip:{number}@x").replace(
            "42", number
        )
        for number in numbers
    }
    return [number for number, text in texts.items() if run(text)["avp(rc)"] == 1]


BLOCKED = ["49123", "1999", "+49123", "49900", "4990011", "4990012"]
ARGUMENTS = ['"alice", "example.org"', '"alice", "example.org", "$hdr(X-Num)"',
             '"alice", "example.org", "$hdr(X-Num)", "userblocklist"']  # fmt: skip


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_a_users_longest_prefix_decides(run, arguments):
    assert passed(run(f"check_user_blocklist({arguments});")) == [n for n in NUMBERS if n not in BLOCKED]
    assert passed(run(f"check_user_allowlist({arguments});")) == ["493012", "4930"]


def test_with_use_domain_only_rows_of_the_domain_count(run):
    domain = 'modparam("userblocklist", "use_domain", 1)'
    assert "1999" in passed(run('check_user_blocklist("alice", "example.org");', domain))


@pytest.mark.parametrize("arguments", ["", '"globalblocklist"'])
def test_the_list_for_all_decides_by_the_longest_prefix(run, arguments):
    refused = ["555", "49900", "4990011"]
    assert passed(run(f"check_blocklist({arguments});")) == [n for n in NUMBERS if n not in refused]
    assert passed(run('check_allowlist("globalblocklist");')) == ["4990012"]


def test_no_number_is_refused(run):
    for call in (
        'check_user_blocklist("alice", "example.org");',
        "check_blocklist();",
        'check_allowlist("globalblocklist");',
    ):
        text = OPTIONS.replace("sip:alice@example.com;transport=udp", "sip:x.org")
        assert run(call)(text)["avp(rc)"] == -1


def test_reload_and_dump(run, rows):
    found = run("check_blocklist();")
    module = found.host.modules["userblocklist"]
    rows.add("globalblocklist", prefix="7", allowlist=0)
    assert passed(found, ["7"]) == ["7"]
    assert module.reload_blocklist() == "200 ok"
    assert passed(found, ["7"]) == []
    assert {"prefix": "4990012", "allowlist": 1} in module.dump_blocklist()


def test_any_text_may_be_a_prefix_in_match_mode_128(run, rows):
    rows.add("globalblocklist", prefix="tel", allowlist=0)
    assert passed(
        run("check_blocklist();", 'modparam("userblocklist", "match_mode", 128)'), ["tel", "+55"]
    ) == ["+55"]


def test_a_table_that_is_not_there_refuses(run):
    assert passed(run('check_blocklist("nosuch");'), ["7"]) == []
