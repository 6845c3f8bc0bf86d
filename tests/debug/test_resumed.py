"""Stepping where a call goes on later: the onsend_route, and transactions that were suspended."""

import pytest

from tests.support.debugger import invite, line_of
from tests.support.server import MODULES, port_of

pytestmark = pytest.mark.live

ONSEND = (
    MODULES
    + """
request_route {
  $du = "sip:127.0.0.1:" + $hdr(X-Port);
  t_relay();
  exit;
}
onsend_route {
  $var(to) = $sndto(port);
  if ($var(to) == 1) { drop; }
}
"""
)
SUSPENDED = (
    MODULES
    + """
loadmodule "htable.so"
modparam("htable", "htable", "held=>size=4;")
request_route {
  if (is_method("OPTIONS")) {
    sl_send_reply("200", "OK");
    t_continue("$sht(held=>index)", "$sht(held=>label)", "RESUMED");
    exit;
  }
  $var(a) = 1;
  if (t_suspend()) {
    $sht(held=>index) = $T(id_index);
    $sht(held=>label) = $T(id_label);
  }
  exit;
}
route[RESUMED] {
  $var(b) = 2;
  t_reply("480", "After all");
}
"""
)


async def test_the_onsend_route_is_stopped_in_and_the_message_leaves_after_it(kamtool, peer, debugger):
    server = await kamtool(ONSEND)
    one, caller, callee = await debugger(server), await peer(), await peer()
    await one.ask("break", text="onsend_route")
    caller.send(invite(caller, callee), port_of(server))
    stopped = await one.stops()
    assert stopped["route"] == "onsend_route"
    assert stopped["line"] == line_of("$var(to) =", ONSEND)
    await callee.silence(0.2)
    after = await one.step("over")
    assert after["name"] == "if"
    assert await one.value("$var(to)") == callee.port
    await one.ask("resume")
    await callee.expect("INVITE")


async def test_a_suspended_transaction_is_followed_to_where_it_goes_on(kamtool, peer, debugger):
    server = await kamtool(SUSPENDED)
    one, caller, other = await debugger(server), await peer(), await peer()
    await one.ask("break", text='request_route if $rm == "INVITE"')
    caller.send(invite(caller, other), port_of(server))
    stopped = await one.stops()
    while stopped["name"] != "exit":
        stopped = await one.step("over")
    await one.ask("resume", how="over")  # out of the route: the call goes on when somebody continues it
    assert (await one.told("left"))["follows"]
    other.send(other.request("OPTIONS", "sip:x@127.0.0.1", branch="go", call_id="go"), port_of(server))
    resumed = await one.stops()
    assert (resumed["line"], resumed["call_id"]) == (line_of("$var(b) = 2", SUSPENDED), "live")
    assert (await one.step())["name"] == "t_reply"
    visits = await one.ask("visits", call_id="live")
    assert [each["route"] for each in visits] == ["request_route", "route[RESUMED]"]
    await one.ask("resume")
    await one.ask("release")
    await caller.expect()
