"""acc: CDRs. Lines and rows were recorded from Kamailio 5.6.3, which got the same calls."""

import logging
import re
import sqlite3

import pytest

from kamtool.errors import ConfigError
from kamtool.store.migrate import migrate
from kamtool.store.times import to_epoch
from tests.modules.test_dialog import LOAD, ROUTES, Call
from tests.support.until import until

LINE = r"start_time=(\d+\.\d{3}); end_time=(\d+\.\d{3}); duration=([\d.]+); c1=(.*); c2=; ci=(.*)"


@pytest.fixture
def accounted(kamtool, peer, tmp_path, caplog):
    caplog.set_level(logging.INFO, "kamtool.modules.acc")

    async def start(extra=""):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.db"
        migrate(path)
        with sqlite3.connect(path) as connection:
            for column in ("c1", "c2", "ci"):
                connection.execute(f"ALTER TABLE acc_cdrs ADD COLUMN {column} VARCHAR(64)")
        cfg = (
            'loadmodule "acc.so"\nmodparam("acc", "cdr_enable", 1)\n'
            f'modparam("acc", "db_url", "sqlite:///{path}")\nmodparam("acc", "cdrs_table", "acc_cdrs")\n'
            'modparam("acc", "cdr_extra", "c1=$dlg_var(k);c2=$dlg_var(none);ci=$ci")\n'
        )
        server = await kamtool(LOAD + cfg + extra + ROUTES)
        call = Call(server, await peer(), await peer())
        call.path = path
        return call

    return start


def lines(caplog):
    found = [re.fullmatch(LINE, record.getMessage()) for record in caplog.records]
    return [match.groups() for match in found if match]


async def test_a_call_has_one_record_when_it_ends(accounted, caplog):
    call = await accounted()
    await call.establish(value="x")
    assert lines(caplog) == []
    await call.bye()
    ((start, end, duration, value, call_id),) = lines(caplog)
    assert (value, call_id) == ("x", "c1")
    assert float(duration) == pytest.approx(float(end) - float(start), abs=0.0011)
    await call.server.stop()
    with sqlite3.connect(call.path) as connection:
        ((began, ended, seconds, *rest),) = connection.execute(
            "SELECT start_time, end_time, duration, c1, c2, ci FROM acc_cdrs"
        )
    assert rest == ["x", "", "c1"]
    assert to_epoch(began) == pytest.approx(float(start), abs=0.001)
    assert to_epoch(ended) == pytest.approx(float(end), abs=0.001)
    assert seconds == pytest.approx(float(duration))


async def test_a_refused_call_has_a_record_of_no_duration(accounted, caplog):
    call = await accounted()
    call.reply(await call.invite(), 486)
    await call.answered(486)
    ((start, end, duration, _, _),) = lines(caplog)
    assert (start, duration) == (end, "0")


@pytest.mark.parametrize(
    "extra",
    ['modparam("acc", "cdr_on_failed", 0)\n', 'modparam("acc", "cdr_skip", "k")\n',
     'modparam("acc", "cdr_log_enable", 0)\n'],
)  # fmt: skip
async def test_a_record_that_is_not_wanted_is_not_made(accounted, caplog, extra):
    call = await accounted(extra)
    call.reply(await call.invite(), 486)
    await call.answered(486)
    assert lines(caplog) == []


async def test_calls_that_time_out_have_a_record_when_that_is_wished(accounted, caplog):
    call = await accounted()
    await call.establish()
    call.later(50_000)
    await until(lambda: call.stats()[3] == 1)
    assert lines(caplog) == []
    call = await accounted('modparam("acc", "cdr_expired_dlg_enable", 1)\n')
    await call.establish("c2", value="late")
    call.later(50_000)
    await until(lambda: call.stats()[3] == 1)
    assert [found[3] for found in lines(caplog)] == ["late"]


async def test_a_call_may_begin_with_its_answer(accounted):
    call = await accounted('modparam("acc", "cdr_start_on_confirmed", 1)\n')
    invite = await call.invite()
    dialog = next(iter(call.module.table))
    dialog.variables["start_time"] = "1.000"
    call.reply(invite, 200)
    await call.answered(200)
    assert float(dialog.variables["start_time"]) > 1000


async def test_cdrs_need_dialog(kamtool):
    cfg = 'loadmodule "tm.so"\nloadmodule "acc.so"\nmodparam("acc", "cdr_enable", 1)\nrequest_route { exit; }'
    with pytest.raises(ConfigError, match=r"dialog\.so"):
        await kamtool(cfg)
