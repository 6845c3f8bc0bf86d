"""Functions and parameters against those of Kamailio 5.6.3: names, numbers of arguments, routes, types.

`kamailio_exports.json` holds what the modules of the Debian package declare: for each function and number of
arguments the routes (R request, F failure, B branch, O onreply with a name, P without, S onsend).
An event route may call what a request route may.
"""

import json
from pathlib import Path

import pytest

from kamtool.module import Routes, declaration, find

EXPORTS = json.loads(Path(__file__).with_name("kamailio_exports.json").read_text())
LETTERS = {
    Routes.REQUEST: "R", Routes.FAILURE: "F", Routes.BRANCH: "B", Routes.ONREPLY: "O",
    Routes.REPLY: "P", Routes.ONSEND: "S",
}  # fmt: skip
MISSING = {
    "corex": {"forward_reply", "via_use_xavp_fields"},
    "rr": {"loose_route_mode", "loose_route_preloaded", "rr_next_hop_route"},
    "sl": {"send_reply_mode"},
    "tls": {"tls_set_connect_server_id"},
    "tm": {
        "t_clean", "t_is_retr_async_reply", "t_on_branch_failure", "t_send_reply",
        "t_set_disable_internal_reply", "t_uac_send", "t_use_uac_headers",
    },
    "tmx": {"t_drop", "t_is_reply_route", "t_is_request_route", "t_reuse_branch"},
}  # fmt: skip
"""Not built: refused with their names."""
MISSING_PARAMS = {
    "avpops": {"db_scheme"},
    "corex": {"dns_cache", "evcb_reply_out", "nio_intercept", "nio_min_msg_len", "nio_msg_avp"},
    "rr": {"ignore_sips", "sockname_mode"},
    "sl": {"event_callback_fl_ack", "event_callback_lres_sent", "rich_redirect"},
    "sqlops": {"results_maxsize"},
    "tls": {"engine_algorithms", "engine_config"},
    "tm": {
        "callid_cseq_matching", "callid_matching", "enable_uac_fr", "event_callback_lres_sent",
        "reply_relay_mode",
    },
    "tmx": {"precheck_trans"},
    "usrloc": {"xavp_contact"},
}  # fmt: skip
OWN = {
    "cfgutils": {"route_exists"},
    "kex": {"km_append_branch"},
    "rtpproxy": {"set_rtpproxy_set"},
    "siputils": {"ring_insert_callid", "uri_param_value"},
    "tm": {"t_is_reply_route", "t_is_request_route", "t_precheck_trans"},
    "userblocklist": {
        "check_blacklist", "check_user_blacklist", "check_user_whitelist", "check_whitelist",
    },
}  # fmt: skip
"""Of kamtool, or of older or newer versions of Kamailio."""
OWN_PARAMS = {
    "auth": {"md5_only"},
    "ctl": {"trusted"},
    "htable": {"memory_limit"},
    "jsonrpcs": {"trusted"},
    "registrar": {"aor_avp", "reg_callid_avp"},
    "rr": {"ignore_user"},
    "rtpengine": {"ping_mode"},
    "rtpproxy": {"rtpproxy_tout_ms"},
    "siputils": {"ring_timeout"},
    "sqlops": {"log_buf_size"},
    "tls": {"init_mode", "server_id"},
    "tm": {"contacts_xavp", "delete_timer", "disable_6xx", "reply_to_via", "server_id_mode"},
    "usrloc": {"durable", "flash", "last_modified_column"},
}
DIFFERS = {"sl": {"send_reply"}, "uri_db": {"check_uri"}}
"""Functions that may be called in more places here."""


def allowed(of, count):
    """The letters of the routes in which Kamailio allows a call with so many arguments."""
    return of.get(str(count), of.get("any", ""))


@pytest.mark.parametrize("module", sorted(EXPORTS.keys() - {"tm"}))  # tm allows more in a bare onreply_route
def test_a_function_is_for_the_routes_and_arguments_that_kamailio_has_it_for(module):
    functions, wrong = declaration(find(module)).functions, []
    for name in functions.keys() & EXPORTS[module]["functions"].keys():
        for count in range(9):
            routes = functions[name].routes_of(count) if functions[name].accepts(count) else Routes(0)
            ours = "".join(letter for route, letter in LETTERS.items() if route & routes)
            theirs = allowed(EXPORTS[module]["functions"][name], count)
            if set(ours) != set(theirs) and name not in DIFFERS.get(module, ()):
                wrong.append(f"{name} with {count}: kamtool in {ours or '-'}, Kamailio in {theirs or '-'}")
    assert wrong == []


@pytest.mark.parametrize("module", EXPORTS)
def test_the_functions_are_kamailios(module):
    ours, theirs = declaration(find(module)).functions.keys(), EXPORTS[module]["functions"].keys()
    assert theirs - ours <= MISSING.get(module, set())
    assert ours - theirs <= OWN.get(module, set())


@pytest.mark.parametrize("module", EXPORTS)
def test_the_parameters_are_kamailios(module):
    ours, theirs = declaration(find(module)).params, EXPORTS[module]["params"]
    assert theirs.keys() - ours.keys() <= MISSING_PARAMS.get(module, set())
    assert ours.keys() - theirs.keys() <= OWN_PARAMS.get(module, set())
    kinds = {name: {kind.__name__ for kind in param.kinds} for name, param in ours.items()}
    wrong = [name for name in theirs.keys() & ours.keys() if kinds[name] != set(theirs[name].split())]
    assert wrong == []
