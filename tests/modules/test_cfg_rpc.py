"""cfg_rpc: settings that change while the server runs."""

import inspect
import logging
from types import SimpleNamespace

import pytest

from kamtool.errors import ConfigError, RpcError
from kamtool.script.settings import Settings
from tests.support.host import Host


class Tm:
    """What tm is to cfg_rpc: parameters, and a start that hands them on."""

    def __init__(self):
        self.handed_on = []

    def __getattr__(self, name):
        return {"fr_timer": 30_000, "default_reason": "Server Internal Error"}.get(name, 0)

    def set_param(self, name, value):
        setattr(self, name, value)

    async def start(self):
        self.handed_on.append(self.fr_timer)


@pytest.fixture
async def cfg():
    host = Host()
    host.settings = Settings(values={"debug": 2}, custom={"pstn": {"gw": "1.2.3.4", "port": 5060}})
    host.settings.described = {"pstn.gw": SimpleNamespace(description="the gateway")}
    host.modules["tm"] = Tm()
    logger = logging.getLogger("kamtool")
    before = logger.level
    yield await host.load("cfg_rpc")
    logger.setLevel(before)


async def test_debug_takes_effect_at_once(cfg):
    assert cfg.get("core", "debug") == 2
    await cfg.set_now_int("core", "debug", 3)
    assert cfg.get("core", "debug") == 3
    assert logging.getLogger("kamtool").level == logging.DEBUG
    await cfg.set_now("core", "debug", "-1")
    assert logging.getLogger("kamtool").level == logging.ERROR
    await cfg.reset("core")
    assert cfg.get("core", "debug") == 2


async def test_a_custom_parameter_changes_and_keeps_its_type(cfg):
    await cfg.set_now_string("pstn", "gw", "5.6.7.8")
    await cfg.set_now("pstn", "port", "5070")
    assert cfg.server.settings.custom == {"pstn": {"gw": "5.6.7.8", "port": 5070}}
    assert cfg.get("pstn") == {"gw": "5.6.7.8", "port": 5070}


async def test_tm_hands_a_new_timer_on(cfg):
    await cfg.set_now_int("tm", "fr_timer", 1000)
    assert cfg.server.modules["tm"].handed_on == [1000]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("get", ("core", "nope")),
        ("get", ("nope", "debug")),
        ("get", ("nope",)),
        ("get", ("core[", "debug")),
        ("set_now_string", ("core", "debug", "abc")),
        ("set_now", ("core", "debug", "abc")),
        ("set_now_int", ("pstn", "gw", 5)),
        ("set_now_int", ("core", "children", 5)),
        ("set_now_int", ("tcp", "max_connections", 5)),
        ("delete", ("pstn", "gw")),
        ("add_instance", ("nope[5]",)),
        ("add_instance", ("pstn",)),
        ("delete_instance", ("pstn[7]",)),
        ("get", ("pstn[7]", "gw")),
        ("reset", ("nope",)),
    ],
)
async def test_what_cannot_be_done_is_refused(cfg, method, arguments):
    async def call():
        found = getattr(cfg, method)(*arguments)
        return await found if inspect.isawaitable(found) else found

    with pytest.raises(RpcError):
        await call()


async def test_delayed_changes_are_shown_and_then_committed_or_forgotten(cfg):
    cfg.set_delayed_int("core", "debug", 1)
    cfg.set_delayed("pstn", "gw", "9.9.9.9")
    assert cfg.diff()[0] == {"group name": "core", "variable name": "debug", "old value": 2, "new value": 1}
    assert cfg.get("core", "debug") == 2
    cfg.rollback()
    await cfg.commit()
    assert cfg.get("core", "debug") == 2
    cfg.set_delayed_string("pstn", "gw", "9.9.9.9")
    await cfg.commit()
    assert (cfg.get("pstn", "gw"), cfg.diff()) == ("9.9.9.9", [])


async def test_an_instance_has_values_of_its_own_until_they_are_deleted(cfg):
    cfg.add_instance("pstn[5]")
    assert cfg.get("pstn[5]", "port") == 5060
    await cfg.set_now_int("pstn[5]", "port", 1)
    assert (cfg.get("pstn[5]", "port"), cfg.get("pstn", "port")) == (1, 5060)
    assert cfg.server.settings.custom["pstn[5]"] == {"port": 1}
    cfg.delete_delayed("pstn[5]", "port")
    await cfg.commit()
    assert cfg.get("pstn[5]", "port") == 5060
    await cfg.set_now_int("pstn[5]", "port", 2)
    cfg.delete_instance("pstn[5]")
    assert "pstn[5]" not in cfg.server.settings.custom


async def test_variables_are_listed_and_explained(cfg):
    listed = cfg.list_variables()
    assert {"core: debug", "tcp: max_connections", "tm: fr_timer", "pstn: gw"} <= set(listed)
    assert cfg.list_variables("pstn") == ["pstn: gw", "pstn: port"]
    assert cfg.help("pstn", "gw") == ["the gateway", "(parameter type is string)"]
    assert cfg.help("core", "debug")[1] == "(parameter type is integer)"
    assert "tcp_max_connections" in cfg.help("tcp", "max_connections")[0]


class Secure:
    """What a module with live parameters is to cfg_rpc."""

    live = ("connection_timeout", "config")
    connection_timeout, config = 600, "tls.cfg"

    def __init__(self):
        self.taken = []

    def reload(self, program, changed):
        if changed.get("connection_timeout", 0) < 0:
            raise ConfigError("not in the past")
        return lambda: self.taken.append((changed, self.connection_timeout))

    def set_param(self, name, value):
        setattr(self, name, value)


async def test_what_a_reload_may_change_of_a_module_is_a_group(cfg):
    secure = cfg.server.modules["tls"] = Secure()
    cfg.server.program = None
    await cfg.start()
    assert cfg.get("tls") == {"connection_timeout": 600, "config": "tls.cfg"}
    await cfg.set_now_int("tls", "connection_timeout", 30)
    assert secure.taken == [({"connection_timeout": 30}, 30)]
    with pytest.raises(RpcError, match="not in the past"):
        await cfg.set_now("tls", "connection_timeout", "-1")
    assert secure.connection_timeout == 30
    await cfg.set_now_string("tls", "config", "other.cfg")
    assert cfg.get("tls", "config") == "other.cfg"
    await cfg.reset("tls")
    assert (secure.connection_timeout, secure.config) == (600, "tls.cfg")
