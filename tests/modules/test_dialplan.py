"""dialplan: the answers of Kamailio 5.6.3 with the same rows."""

import asyncio
import sqlite3

import pytest

from kamtool.errors import ConfigError, RpcError
from kamtool.store.migrate import migrate
from tests.support.script import INVITE

ROWS = [
    (1, 1, 1, "^00(.*)", 0, "^00(.*)", r"+\1", "intl"),
    (1, 2, 0, "911", 3, "", "112", "emerg"),
    (1, 3, 1, "^5[0-9]+", 4, "", "", "short"),
    (1, 0, 1, "^7", 0, "^7(.)(.*)", r"\2\1", "swap"),
    (2, 1, 2, "+49*", 0, "", "x", "fn"),
    (3, 1, 1, "^1", 0, "^1(.*)", r"$rU-\1", "pv"),
    (3, 2, 1, "^2", 0, "^9", "x", "misfit"),
    (3, 3, 1, "^(", 0, "", "x", "damaged"),
    (3, 4, 1, "^3", 0, "^3", r"\4", "no such group"),
]


@pytest.fixture
def run(script, tmp_path):
    path = tmp_path / "dp.db"
    migrate(path)
    with sqlite3.connect(path) as connection:
        connection.executemany(
            "INSERT INTO dialplan (dpid, pr, match_op, match_exp, match_len, subst_exp, repl_exp, attrs) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            ROWS,
        )

    def load(statements):
        return script(
            'loadmodule "db_sqlite.so"', 'loadmodule "dialplan.so"',
            f'modparam("dialplan", "db_url", "sqlite:///{path}")',
            'modparam("dialplan", "attrs_pvar", "$avp(attrs)")',
            f"request_route {{ {statements} }}",
        )  # fmt: skip

    return load


@pytest.mark.parametrize(
    ("plan", "text", "code", "result", "attributes"),
    [(1, "0049301", 1, "+49301", "intl"), (1, "911", 1, "112", "emerg"), (1, "5123", 1, "old", "short"),
     (1, "51234", -1, "old", None), (1, "7abc", 1, "bca", "swap"), (9, "x", -2, "old", None),
     (2, "+49123", 1, "x", "fn"), (3, "123", 1, "alice-23", "pv"), (3, "2", -1, "old", None),
     (3, "3", -1, "old", None)],
)  # fmt: skip
def test_the_first_rule_that_matches_translates(run, plan, text, code, result, attributes):
    done = run(f'$var(i) = "{text}"; $var(o) = "old"; $var(r) = dp_translate("{plan}", "$var(i)/$var(o)");')(
        INVITE
    )
    assert (done["var(r)"], done["var(o)"], done["avp(attrs)"]) == (code, result, attributes)


def test_without_variables_the_user_of_the_r_uri_is_translated(run):
    assert run('$ru = "sip:0044@x.com"; dp_translate("1");')()["ru"] == "sip:+44@x.com"


def test_matching_and_replacing_take_any_text(run):
    assert run('$var(r) = dp_match("1", "911");')()["var(r)"] == 1
    assert run('dp_replace("1", "00aa", "$var(o)");')()["var(o)"] == "+aa"


def test_the_control_plane_shows_translates_and_reloads(run, tmp_path):
    made = run("exit;")
    made.host.sockets, module = [], made.host.modules["dialplan"]
    dump = module.rpc_dump(1)
    assert [entry["ENTRY"]["PRIO"] for entry in dump["ENTRIES"]] == [2, 3, 0, 1]
    assert dump["ENTRIES"][0]["ENTRY"]["SUBSTEXP"] == "<null string>"
    assert module.rpc_translate(1, "0012") == {"Output": "+12", "Attributes": "intl"}
    with pytest.raises(RpcError, match="No translation"):
        module.rpc_translate(1, "zz")
    with pytest.raises(RpcError, match="Ongoing reload"):
        asyncio.run(module.rpc_reload())
    with sqlite3.connect(tmp_path / "dp.db") as connection:
        connection.execute("DELETE FROM dialplan WHERE dpid = 1")
    made.host.clock += 10
    asyncio.run(module.rpc_reload())
    assert 1 not in module.plans


def test_match_dynamic_is_refused():
    from kamtool.modules.dialplan import Dialplan
    from tests.support.host import Host

    module = Dialplan(Host())
    module.set_param("match_dynamic", 1)
    with pytest.raises(ConfigError):
        asyncio.run(module.start())
