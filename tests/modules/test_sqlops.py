"""sqlops: codes, values and texts as recorded from Kamailio 5.6.3 with db_sqlite, which got the same scripts.

Where it loses data (doubles read as undefined) or lets a quote out (SQLite knows no backslash) the tests
say what is right instead.
"""

import asyncio
import contextlib
import logging
import re
import sqlite3

import pytest

from kamtool.errors import ConfigError, ScriptError, StoreError
from kamtool.modules.sqlops.statement import statement
from tests.support.host import Host
from tests.support.server import kamtool, port_of  # noqa: F401
from tests.support.until import SOON, until

MODULES = "".join(
    f'loadmodule "{name}.so"\n'
    for name in ("sl", "tm", "tmx", "pv", "xlog", "textops", "kex", "db_sqlite", "sqlops")
)
TABLE = """
CREATE TABLE t(id INTEGER PRIMARY KEY, name VARCHAR(20), n INT, f DOUBLE, b BLOB, bi BIGINT);
INSERT INTO t VALUES(1, 'one', 11, 1.5, x'4142', 5000000000);
INSERT INTO t VALUES(2, NULL, NULL, NULL, NULL, NULL);
INSERT INTO t VALUES(3, 'it''s', -7, 2e10, 'bl', '12');
CREATE TABLE u(a UNIQUE);
"""
MESSAGE = (
    "OPTIONS sip:bob@127.0.0.1:{port} SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{number};rport\r\n"
    "From: <sip:a@a.com>;tag=f\r\nTo: <sip:bob@b.com>\r\nCall-ID: c{number}\r\nCSeq: 1 OPTIONS\r\n"
    "Max-Forwards: 70\r\nX-User: {user}\r\nContent-Length: 0\r\n\r\n"
)
OPTIONS = """
OPTIONS sip:b@b SIP/2.0
Via: SIP/2.0/UDP h;branch=z9hG4bKx
From: <sip:a@a>;tag=f
To: <sip:b@b>
Call-ID: c
CSeq: 1 OPTIONS
"""
RA = 'sql_query("ca", "select * from t order by id", "ra");'


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "k.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(TABLE)
    return path


def names(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT name FROM t ORDER BY id")]


@pytest.fixture
def run(kamtool, path, caplog):  # noqa: F811
    """`await run(statements)`: what the script told with `R[[…]]R` about one message."""
    caplog.set_level(logging.INFO, "kamtool")
    logging.getLogger("kamtool").propagate = True

    async def start(statements, settings="", user="x", messages=1):
        cfg = (
            f'#!KAMAILIO\n{MODULES}modparam("sqlops", "sqlcon", "ca=>sqlite:///{path}")\n{settings}\n'
            f'request_route {{ route(TEST); sl_send_reply("200", "OK"); exit; }}\n'
            f"route[TEST] {{\n{statements}\n}}\n"
        )
        server = await kamtool(cfg, listens=(("udp", "127.0.0.1"),))
        port = port_of(server)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(Answers, remote_addr=("127.0.0.1", port))
        for number in range(messages):
            protocol.transport.sendto(MESSAGE.format(port=port, number=number, user=user).encode())
        async with asyncio.timeout(SOON):
            for _ in range(messages):
                await protocol.inbox.get()
        protocol.transport.close()
        return told(caplog)

    return start


class Answers(asyncio.DatagramProtocol):
    def __init__(self):
        self.inbox = asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.inbox.put_nowait(data)


def told(caplog):
    text = "\n".join(record.getMessage() for record in caplog.records)
    return re.findall(r"R\[\[(.*?)\]\]R", text, re.DOTALL)


def refusals(caplog):
    return [
        record.getMessage() for record in caplog.records if record.name.startswith("kamtool.modules.sqlops")
    ]


def tell(text):
    return f'xlog("L_ERR", "R[[{text}]]R\\n");'


# Codes


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ('sql_query("ca", "select * from t", "ra")', 1),
        ('sql_query("ca", "select * from t where id=99", "ra")', 2),
        ('sql_query("ca", "select * from t")', 3),
        ('sql_query("ca", "select * from t", "")', 1),
        ('sql_query("ca", "select * from t where id=99")', 2),
        ('sql_query("ca", "insert into u values(5)")', 2),
        ('sql_query("ca", "insert into t(id) values(1)")', -1),
        ('sql_query("ca", "update u set a=6 where a=77", "rb")', 2),
        ('sql_query("ca", "selec bad", "ra")', -1),
        ('sql_query("ca", "", "ra")', -1),
        ('sql_query("ca", "pragma user_version", "ra")', 1),
        ('sql_query("ca", "select count(*) from u;", "ra")', 1),
        ('sql_query("ca", "with x as (select 1) insert into u select * from x")', 2),
        ('sql_xquery("ca", "select * from t", "xa")', 1),
        ('sql_xquery("ca", "select * from t where id=99", "xa")', 2),
        ('sql_xquery("ca", "selec bad", "xa")', -1),
        ('sql_xquery("ca", "insert into u values(5)", "xc")', 2),
        ('sql_pvquery("ca", "select id from t", "$var(c)")', 1),
        ('sql_pvquery("ca", "select id from t where id=99", "$var(c)")', 2),
        ('sql_pvquery("ca", "selec bad", "$avp(z)")', -1),
        ('sql_pvquery("ca", "insert into u values(12)", "$avp(z)")', 2),
        ('sql_result_free("never")', 1),
    ],
)
async def test_a_query_tells_by_its_code_what_became_of_it(run, call, code):
    assert await run(f"{call}; $var(r) = $rc; {tell('$var(r)')}") == [str(code)]


async def test_a_bad_query_is_one_line_in_the_log_with_the_query(run, caplog):
    await run('sql_query("ca", "selec $rU");')
    (line,) = refusals(caplog)
    assert line.startswith("ca: ")
    assert line.endswith("k.db: near \"selec\": syntax error, in 'selec bob'")


# $dbr, $sqlrows


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ("$dbr(ra=>rows) $dbr(ra=>cols)", "3 6"),
        ("$dbr(ra=>[0,0])|$dbr(ra=>[0,1])|$dbr(ra=>[0,2])|$dbr(ra=>[0,4])", "1|one|11|AB"),
        ("$dbr(ra=>[1,0])|$dbr(ra=>[1,1])|$dbr(ra=>[1,2])", "2|<null>|<null>"),
        ("$dbr(ra=>[2,0])|$dbr(ra=>[2,1])|$dbr(ra=>[2,2])|$dbr(ra=>[2,5])", "3|it's|-7|12"),
        ("$dbr(ra=>[0,3]) $dbr(ra=>[0,5])", "1.5 5000000000"),
        ("$dbr(ra=>colname[0]) $dbr(ra=>colname[5])", "id bi"),
        ("$dbr(ra=>[$var(i),$var(j)]) $dbr(ra=>colname[$var(j)])", "it's name"),
        ("$dbr(ra=>[0 , 0])", "1"),
        ("$dbr(ra=>[3,0]) $dbr(ra=>[0,6]) $dbr(ra=>[0,-1]) $dbr(ra=>colname[6])", " ".join(["<null>"] * 4)),
        ("$dbr(ra=>[$var(s),0])", "<null>"),
        ("$dbr(never=>rows) $dbr(never=>cols) $dbr(never=>[0,0])", "0 0 <null>"),
    ],
)
async def test_a_result_is_read_by_row_and_column(run, shown, expected):
    setup = f'$var(i) = 2; $var(j) = 1; $var(s) = "0"; {RA}'
    assert await run(setup + tell(shown)) == [expected]


async def test_numbers_of_a_result_are_ints_and_null_is_undefined(run):
    assert await run(
        f"{RA} if ($dbr(ra=>[0,2]) + 1 == 12) {tell('int')} if ($dbr(ra=>[1,1]) == $null) {tell('null')}"
    ) == ["int", "null"]


@pytest.mark.parametrize(
    "statement",
    ['sql_query("ca", "selec bad", "ra");', 'sql_query("ca", "select * from t where id=99", "ra");',
     'sql_result_free("ra");'],
)  # fmt: skip
async def test_a_result_is_empty_after(run, statement):
    shown = "$dbr(ra=>rows) $dbr(ra=>cols) $dbr(ra=>[0,0]) $dbr(ra=>colname[0])"
    assert await run(f"{RA} {statement} {tell(shown)}") == ["0 0 <null> <null>"]


async def test_the_rows_that_a_statement_changed_are_counted(run):
    counts = await run(
        f"""
        {tell("$sqlrows(ca)")}
        sql_query("ca", "update t set n=1"); {tell("$sqlrows(ca)")}
        sql_query("ca", "update t set n=1 where id=99"); {tell("$sqlrows(ca)")}
        sql_query("ca", "delete from t where id>1"); {tell("$sqlrows(ca)")}
        sql_query("ca", "selec bad"); {tell("$sqlrows(ca)")}
        """
    )
    assert counts == ["<null>", "3", "0", "2", "0"]


async def test_a_later_message_sees_the_result_of_an_earlier_one(path):
    host = Host()
    await host.load("db_sqlite")
    module = await host.load("sqlops", sqlcon=[f"ca=>sqlite:///{path}"])
    try:
        first, second = host.context(OPTIONS), host.context(OPTIONS)
        assert await module.sql_query(first, "ca", "select * from t", "ra") == 1
        assert module.dbr(second, "ra=>rows") == 3
        module.sql_result_free(second, "ra")
        assert module.dbr(second, "ra=>rows") == 0
        assert module.dbr(first, "ra=>rows") == 3
    finally:
        await host.stop()


async def test_messages_that_wait_for_queries_keep_their_results_apart(run):
    """Each asks for its own Call-ID, then waits for a second query, then looks."""
    shown = await run(
        f"""
        sql_query("ca", "select $(ci{{sql.val}})", "ra");
        sql_query("ca", "select 1", "rb");
        sql_query("ca", "update t set n=1 where id=1");
        {tell("$ci $dbr(ra=>[0,0])")}
        """,
        messages=20,
    )
    assert sorted(shown) == sorted(f"c{number} c{number}" for number in range(20))


# XAVPs and variables


async def test_each_row_is_an_xavp_the_first_on_top_and_above_what_was_there(run):
    shown = await run(
        f"""
        sql_xquery("ca", "select * from t order by id", "xa");
        {tell("$xavp(xa=>id)|$xavp(xa=>name)|$xavp(xa=>n)|$xavp(xa=>bi)")}
        {tell("$xavp(xa[1]=>id)|$xavp(xa[1]=>name)")}
        {tell("$xavp(xa[2]=>id)|$xavp(xa[2]=>name)|$xavp(xa[2]=>n)")}
        sql_xquery("ca", "select id from t where id=3", "xa");
        {tell("$xavp(xa=>id) $xavp(xa[1]=>id) $xavp(xa[3]=>id)")}
        """
    )
    assert shown == ["1|one|11|5000000000", "2|<null>", "3|it's|-7", "3 1 3"]


async def test_the_name_of_the_xavp_may_be_a_variable(run):
    shown = await run(
        f'$var(c) = "xx"; sql_xquery("ca", "select 1 as one", "$var(c)"); {tell("$xavp(xx=>one)")}'
    )
    assert shown == ["1"]


async def test_a_row_of_nulls_is_a_row(run):
    assert await run(
        'sql_xquery("ca", "select NULL as z", "xn"); if ($xavp(xn) != $null) ' + tell("row $xavp(xn=>z)")
    ) == ["row <null>"]


async def test_columns_are_assigned_from_the_last_row_to_the_first(run):
    shown = await run(
        'sql_pvquery("ca", "select id,name,n from t order by id", "$avp(a);$avp(b);$var(c)");'
        + tell("$(avp(a)[*]) / $(avp(b)[*]) / $var(c)")
    )
    assert shown == ["1, 2, 3 / one, it's / 11"]


@pytest.mark.parametrize("separator", [";", ",", ", ", " ", ";;"])
async def test_variables_are_separated_by(run, separator):
    shown = await run(
        f'sql_pvquery("ca", "select \'x\',2,\'sip:t@e.com\'", "$var(a){separator}$avp(c){separator}$ru");'
        + tell("$var(a) $avp(c) $ru")
    )
    assert shown == ["x 2 sip:t@e.com"]


async def test_null_resets_a_variable_but_not_an_avp(run):
    shown = await run(
        '$avp(z) = "old"; $var(p) = 66;'
        'sql_pvquery("ca", "select name,n from t where id=2", "$avp(z);$var(p)");' + tell("$avp(z) $var(p)")
    )
    assert shown == ["old 0"]


async def test_a_column_without_a_variable_fails_a_variable_without_a_column_does_not(run):
    shown = await run(
        f"""
        $var(q) = 77;
        sql_pvquery("ca", "select id,name from t where id=3", "$var(c)"); $var(r) = $rc;
        {tell("$var(r) $var(c)")}
        sql_pvquery("ca", "select id from t where id=3", "$var(p);$var(q)"); $var(r) = $rc;
        {tell("$var(r) $var(p) $var(q)")}
        """
    )
    assert shown == ["-1 3", "1 3 77"]


# Transformations, and what SQLite makes of them


@pytest.mark.parametrize(
    ("setup", "shown", "expected"),
    [
        ('$var(s) = "o\'x\\\\y\\"z";', "$(var(s){sql.val})", "'o\\'x\\\\y\\\"z'"),
        ("$var(k) = 5;", "$(var(k){sql.val})|$(var(k){sql.val.str})|$(var(k){sql.val.int})", "5|5|5"),
        ('$var(s) = "12";', "$(var(s){sql.val})|$(var(s){sql.val.int})", "'12'|'12'"),
        ("", "$(avp(u){sql.val})|$(avp(u){sql.val.int})|$(avp(u){sql.val.str})", "NULL|0|''"),
        ('$var(s) = "";', "$(var(s){sql.val})", "''"),
    ],
)
async def test_a_value_is_quoted_and_escaped(run, setup, shown, expected):
    assert await run(setup + tell(shown)) == [expected]


@pytest.mark.parametrize(("count", "expected"), [(49, "51"), (50, "")])
async def test_a_text_too_long_for_tr_buf_size_is_not_quoted(run, count, expected):
    shown = await run(
        f'$var(x) = "{"a" * count}";' + tell("$(var(x){sql.val}{s.len})"),
        settings='modparam("sqlops", "tr_buf_size", 100)',
    )
    assert shown == [expected]


HOSTILE = [
    "o'x", "x' OR 1=1 --", "x\\' OR 1=1 --", "\\", "\\\\", "'", "''", "x'; DROP TABLE t; --", '"', "\\'",
    "a\\_b", "?1 :a", "[x] /* -- `",
]  # fmt: skip


@pytest.mark.parametrize("escape", ["$(hdr(X-User){sql.val})", "'$(hdr(X-User){s.escape.common})'"])
@pytest.mark.parametrize("text", HOSTILE)
async def test_what_a_message_brings_stays_a_text(run, path, text, escape):
    shown = await run(
        f"""
        sql_query("ca", "select id from t where name = {escape}", "ra"); {tell("$dbr(ra=>rows)")}
        sql_query("ca", "update t set name = {escape} where id = 1");
        sql_query("ca", "select count(*) from t where name = {escape}", "ra"); {tell("$dbr(ra=>[0,0])")}
        """,
        user=text,
    )
    assert shown == ["0", "1"]
    assert names(path) == [text, None, "it's"]


@pytest.mark.parametrize(
    ("query", "sql"),
    [
        ("SELECT 1", "SELECT 1"),
        ("SELECT 'it''s'", "SELECT 'it''s'"),
        (r"SELECT 'it\'s'", "SELECT 'it''s'"),
        (r"SELECT 'a\\'", "SELECT 'a\\'"),
        (r"SELECT 'a\nb\%'", r"SELECT 'a\nb\%'"),
        (r'SELECT "a\"b"', 'SELECT "a""b"'),
        (r"SELECT 'a\0b'", "SELECT ('a'||char(0)||'b')"),
        (r"SELECT a LIKE 'x\_y' ESCAPE '\'", r"SELECT a LIKE 'x\_y' ESCAPE '\'"),
        ("SELECT 1 -- it's\n, 2", "SELECT 1 -- it's\n, 2"),
        ("SELECT 1 /* it's */; ", "SELECT 1 /* it's */; "),
        ("SELECT ';', [it's]", "SELECT ';', [it's]"),
    ],
)
def test_texts_are_respelt_for_sqlite(query, sql):
    assert statement(query).sql == sql


@pytest.mark.parametrize(
    "query",
    [
        "", "  -- nothing\n", "SELECT 'x", r"SELECT 'x\'", 'SELECT "x', "SELECT 1; SELECT 2",
        "BEGIN", "commit", "INSERT OR ROLLBACK INTO u VALUES(1)",
        r"SELECT name LIKE '\' OR 1=1 --' ESCAPE 'x\'",
    ],
)  # fmt: skip
def test_a_query_is_refused_that_is_not_one_whole_statement(query):
    with pytest.raises(ScriptError):
        statement(query)


async def test_two_statements_behind_create_are_refused_and_the_writer_goes_on(run, path):
    shown = await run(
        f"""
        sql_query("ca", "create table v(a); drop table t"); $var(r) = $rc; {tell("$var(r)")}
        sql_query("ca", "update t set name='new' where id=2"); $var(r) = $rc; {tell("$var(r)")}
        """
    )
    assert shown == ["-1", "2"]
    assert names(path) == ["one", "new", "it's"]


async def test_a_query_nobody_waits_for_is_written_too(run, path):
    assert await run(
        f'sql_query_async("ca", "update t set name=\'new\' where id=2"); $var(r) = $rc; {tell("$var(r)")}'
    ) == ["1"]
    await until(lambda: names(path)[1] == "new")


# What is refused at the start


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        ('sql_query("zz", "select 1");', "no connection 'zz'"),
        ('if (sql_xquery("zz", "select 1", "x") == 1) { exit; }', "no connection 'zz'"),
        ('xlog("$sqlrows(zz)\\n");', "no connection 'zz'"),
        ('xlog("$dbr(ra=>foo)\\n");', "a key is"),
        ('xlog("$dbr(ra=>[0])\\n");', "a key is"),
        ("$var(x) = $dbr(ra=>[a,0]);", "no number"),
        ('xlog("$dbr(ra)\\n");', "result=>key"),
        ('xlog("$dbr(ra => rows)\\n");', "result=>key"),
        ('xlog("$(dbr(ra=>foo){s.len})\\n");', "a key is"),
        ('sql_pvquery("ca", "select 1", "$si");', "read-only"),
        ('sql_pvquery("ca", "select 1", "abc");', "no list of variables"),
        ('sql_pvquery("ca", "select 1", "");', "no list of variables"),
        ('xlog("$(var(x){sql.foo})\\n");', "no transformation"),
        ('xlog("$(var(x){s.sql})\\n");', "no transformation"),
    ],
)
async def test_the_start_is_refused_for_a_script_with(run, statements, told):
    with pytest.raises(ConfigError, match=re.escape(told)):
        await run(statements)


@pytest.mark.parametrize("entry", ["foo", "=>sqlite:////x", "cb=>", "ca=>sqlite:////tmp/other.db"])
async def test_the_start_is_refused_for_a_connection(run, entry):
    with pytest.raises(ConfigError, match="sqlops"):
        await run("return;", settings=f'modparam("sqlops", "sqlcon", "{entry}")')


async def test_a_database_that_cannot_be_opened_refuses_the_start(run, tmp_path):
    (tmp_path / "notes").write_text("no database at all " * 100)
    with pytest.raises(StoreError, match="notes"):
        await run("return;", settings=f'modparam("sqlops", "sqlcon", "cb=>sqlite:///{tmp_path}/notes")')


async def test_with_connect_mode_a_database_may_come_later(path, tmp_path, caplog):
    host = Host()
    await host.load("db_sqlite")
    place = tmp_path / "notes"
    place.write_text("no database at all " * 100)
    module = await host.load("sqlops", sqlcon=[f"cb=>sqlite:///{place}"], connect_mode=1)
    ctx = host.context(OPTIONS)
    try:
        assert await module.sql_query(ctx, "cb", "select 1", "ra") == -1
        path.rename(place)
        assert await module.sql_query(ctx, "cb", "select name from t", "ra") == 1
        assert module.dbr(ctx, "ra=>rows") == 3
    finally:
        await host.stop()


async def test_the_log_shows_so_much_of_a_query_as_log_buf_size_says(run, caplog):
    await run('sql_query("ca", "selec 123456789");', settings='modparam("sqlops", "log_buf_size", 8)')
    (line,) = refusals(caplog)
    assert line.endswith("in 'selec 12'…")
