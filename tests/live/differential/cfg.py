# ruff: noqa: E501
"""The cfg that both servers run, and the families: the same routes under other parameters."""

MODULES = ("tm", "tmx", "sl", "rr", "maxfwd", "pv", "textops", "siputils", "corex", "async")

HEAD = """#!KAMAILIO
debug=1
log_stderror=yes
server_signature=no
async_workers=1
disable_tcp=yes
{more}
"""

PARAMS = """
modparam("tm", "fr_timer", 1200)
modparam("tm", "fr_inv_timer", 2000)
modparam("tm", "retr_timer1", 300)
modparam("tm", "retr_timer2", 800)
modparam("tm", "contacts_avp", "tm_contacts")
modparam("tm", "contact_flows_avp", "tm_flows")
modparam("async", "ms_timer", 20)
"""

ROUTES = (
    r"""
request_route {
    if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (is_method("CANCEL")) {
        if ($hdr(X-Case) == "stateless") { forward(); exit; }
        if (t_check_trans()) { t_relay(); exit; }
        if ($hdr(X-Case) == "orphan") { t_relay(); }
        exit;
    }
    if (has_totag()) {
        if (loose_route()) {
            if (is_present_hf("X-Direction")) {
                if (is_direction("downstream")) append_hf("X-Went: down\r\n"); else append_hf("X-Went: up\r\n");
                if (check_route_param("k=v")) append_hf("X-Param: yes\r\n");
            }
            t_relay();
            exit;
        }
        if (is_method("ACK")) { if (t_check_trans()) t_relay(); exit; }
        if (is_present_hf("X-Case")) { $var(case) = $hdr(X-Case); route($var(case)); }
        sl_send_reply("404", "Not here");
        exit;
    }
    if (is_method("ACK")) { t_check_trans(); exit; }
    t_check_trans();
    $var(case) = $hdr(X-Case);
    route($var(case));
}
"""
    + "\n".join(
        f"route[{letter}] {{ $du = $null; $ru = $(hdr(X-{letter}){{nameaddr.uri}}); }}" for letter in "BCDE"
    )
    + r"""
route[spiral] { if ($rU != "bob") { route(B); $du = "sip:127.0.0.1:" + $Rp; } t_relay(); exit; }
route[loop] { $du = "sip:127.0.0.1:" + $Rp; t_relay(); exit; }
route[simple] { t_relay(); exit; }
route[stateless] { forward(); exit; }
route[orphan] { t_relay(); exit; }
route[relay_or_error] { if (!t_relay()) sl_reply_error(); exit; }
route[nowhere] { $du = "sip:127.0.0.1:1;transport=tcp"; if (!t_relay()) { sl_reply_error(); } exit; }
route[sl] { sl_send_reply("403", "Go away"); exit; }
route[sl_headers] { append_to_reply("X-More: yes\r\n"); sl_send_reply("486", "Busy Here"); exit; }
route[newtran_reply] { t_newtran(); t_reply("404", "Not Found"); exit; }
route[newtran_ringing] { t_newtran(); t_reply("180", "Ringing"); t_reply("486", "Busy Here"); exit; }
route[newtran_only] { t_newtran(); exit; }
route[newtran_twice] { t_newtran(); t_reply("480", "First"); t_reply("486", "Second"); exit; }
route[send_reply] { t_newtran(); send_reply("410", "Gone"); exit; }
route[send_reply_stateless] { send_reply("410", "Gone"); exit; }
route[sl_after_newtran] { t_newtran(); sl_send_reply("403", "Stateless"); exit; }
route[reply_200] { t_newtran(); t_reply("200", "OK"); exit; }
route[newtran_relay] { t_newtran(); t_relay(); exit; }
route[release] { t_newtran(); t_release(); sl_send_reply("480", "Released"); exit; }
route[reply_after_relay] { t_relay(); t_reply("486", "Changed my mind"); exit; }
route[no_100] { t_set_auto_inv_100("0"); t_relay(); exit; }

route["fork"] { append_branch("$(hdr(X-C){nameaddr.uri})"); t_relay(); exit; }
route[fork3] {
    append_branch("$(hdr(X-C){nameaddr.uri})"); append_branch("$(hdr(X-D){nameaddr.uri})");
    t_relay(); exit;
}
route[fork_no6xx] { t_set_disable_6xx("1"); append_branch("$(hdr(X-C){nameaddr.uri})"); t_relay(); exit; }
route[fork_short] { t_set_fr(700, 500); append_branch("$(hdr(X-C){nameaddr.uri})"); t_relay(); exit; }
route[short] { t_set_fr(700, 500); t_relay(); exit; }
route[short_failure] { t_set_fr(700, 500); t_on_failure("to_c"); t_relay(); exit; }
route[serial] { t_on_failure("to_c"); t_relay(); exit; }
route[serial3] { t_on_failure("to_c_then_d"); t_relay(); exit; }
route[fork_serial] { append_branch("$(hdr(X-C){nameaddr.uri})"); t_on_failure("to_d"); t_relay(); exit; }
route[failure_reply] { t_on_failure("answer"); t_relay(); exit; }
route[failure_send_reply] { t_on_failure("send"); t_relay(); exit; }
route[failure_nothing] { t_on_failure("nothing"); t_relay(); exit; }
route[failure_same] { t_on_failure("same"); t_relay(); exit; }
route[failure_two] { t_on_failure("two"); t_relay(); exit; }
route[failure_302] { t_on_failure("redirect"); t_relay(); exit; }
route[failure_drop] { t_on_failure("drop_replies"); t_relay(); exit; }
route[failure_code] { t_on_failure("code"); append_branch("$(hdr(X-C){nameaddr.uri})"); t_relay(); exit; }
failure_route[to_c] { if (t_is_canceled()) exit; route(C); t_relay(); }
failure_route[to_d] { if (t_is_canceled()) exit; route(D); t_relay(); }
failure_route[to_c_then_d] { if (t_is_canceled()) exit; route(C); t_on_failure("to_d"); t_relay(); }
failure_route[answer] { t_reply("480", "From the failure route"); }
failure_route[send] { append_to_reply("X-From: failure\r\n"); send_reply("503", "Sorry"); }
failure_route[nothing] { append_to_reply("X-Never: seen\r\n"); }
failure_route[same] { if (t_is_canceled()) exit; t_relay(); }
failure_route[two] { route(C); append_branch("$(hdr(X-D){nameaddr.uri})"); t_relay(); }
failure_route[redirect] {
    if (t_check_status("302")) { $ru = $(T_rpl($ct){nameaddr.uri}); t_relay(); }
}
failure_route[drop_replies] { t_drop_replies("a"); route(C); t_relay(); }
failure_route[code] {
    if (t_branch_timeout()) t_reply("500", "timeout");
    else if ($T_reply_code == 486) t_reply("500", "saw 486");
    else if ($T_reply_code == 408) t_reply("500", "saw 408");
    else t_reply("500", "saw other");
}

route[branch_header] { t_on_branch("mark"); append_branch("$(hdr(X-C){nameaddr.uri})"); t_relay(); exit; }
route[branch_drop] { t_on_branch("drop_first"); append_branch("$(hdr(X-C){nameaddr.uri})"); t_relay(); exit; }
route[branch_drop_all] { t_on_branch("drop_all"); if (!t_relay()) { sl_send_reply("480", "All dropped"); } exit; }
route[branch_uri] { t_on_branch("elsewhere"); t_relay(); exit; }
route[branch_flag] { t_on_branch("arm"); append_branch("$(hdr(X-C){nameaddr.uri})"); t_relay(); exit; }
branch_route[mark] { append_hf("X-Branch: $T_branch_idx\r\n"); }
branch_route[drop_first] { if ($T_branch_idx == 0) drop; }
branch_route[drop_all] { drop; }
branch_route[elsewhere] { route(C); }
branch_route[arm] { if ($T_branch_idx == 1) t_on_reply("mark"); }

route[reply_header] { t_on_reply("mark"); t_relay(); exit; }
route[reply_drop] { t_on_reply("drop_183"); t_relay(); exit; }
route[reply_drop_final] { t_on_reply("drop_486"); t_relay(); exit; }
route[reply_cancel] { t_on_reply("cancel_others"); append_branch("$(hdr(X-C){nameaddr.uri})"); t_relay(); exit; }
route[reply_reply] { t_on_reply("answer"); t_relay(); exit; }
route[reply_req] { t_on_reply("request"); t_relay(); exit; }
onreply_route[mark] { append_hf("X-Reply: $T_reply_code $T_branch_idx\r\n"); }
onreply_route[drop_183] { if (status == "183") drop; }
onreply_route[drop_486] { if (status == "486") drop; }
onreply_route[cancel_others] { if (status == "183") t_cancel_branches("others"); }
onreply_route[answer] { if (status == "183") t_reply("500", "Enough"); }
onreply_route[request] { append_hf("X-Req: $T_req($rm) $T_req($cs)\r\n"); }

route[rr] { record_route(); t_relay(); exit; }
route[rr_param] { add_rr_param(";k=v"); record_route(); t_relay(); exit; }
route[rr_preset] { record_route_preset("pres.example.com:5090;x=y"); t_relay(); exit; }
route[rr_preset2] { record_route_preset("one.example.com", "two.example.com:99"); t_relay(); exit; }
route[rr_other] { $fs = $hdr(X-Socket); record_route(); t_relay(); exit; }
route[rr_advertised] { record_route_advertised_address("adv.example.com:7"); t_relay(); exit; }
route[rr_removed] { record_route(); remove_record_route(); t_relay(); exit; }
route[rr_serial] { record_route(); t_on_failure("to_c"); t_relay(); exit; }
route[preloaded] {
    $var(rc) = loose_route();
    append_hf("X-Rc: $var(rc)\r\n");
    if ($var(rc) == -1) { sl_send_reply("404", "No route"); exit; }
    t_relay(); exit;
}
route[preloaded_only] {
    $var(rc) = loose_route_preloaded();
    sl_send_reply("480", "rc $var(rc)"); exit;
}
route[mode0] { $var(rc) = loose_route_mode("0"); sl_send_reply("480", "rc $var(rc) $du"); exit; }
route[mode1] { $var(rc) = loose_route_mode("1"); sl_send_reply("480", "rc $var(rc) $du"); exit; }
route[next_hop] { $var(rc) = rr_next_hop_route(); sl_send_reply("480", "$var(rc)"); exit; }

route[suspend] { t_newtran(); t_suspend(); exit; }
route[suspend_later] { $var(x) = 1; async_ms_route("LATER", "300"); exit; }
route[LATER] { t_relay(); exit; }
route[async_reply] { async_ms_route("LATER_REPLY", "200"); exit; }
route[LATER_REPLY] { t_reply("486", "Later"); exit; }
route[async_task] { async_task_route("LATER"); exit; }
route[async_sleep] { async_ms_sleep("200"); append_hf("X-Slept: yes\r\n"); t_relay(); exit; }
route["drop_rcode"] { t_newtran(); t_drop("488"); exit; }
route[tm_send_reply] { t_newtran(); t_send_reply("488", "Sent"); exit; }
route[cancel_callid] { t_newtran(); t_cancel_callid("$hdr(X-Call)", "1", "5", "606"); t_reply("200", "Cancelled"); exit; }
route[reply_callid] { t_newtran(); t_reply_callid("$hdr(X-Call)", "1", "487", "By Call-ID"); t_reply("200", "Done"); exit; }
route[contacts] {
    $(ru) = $(hdr(X-B){nameaddr.uri});
    append_branch("$(hdr(X-C){nameaddr.uri})", "0.5");
    append_branch("$(hdr(X-D){nameaddr.uri})", "0.8");
    t_load_contacts(); t_next_contacts();
    t_on_failure("next"); t_relay(); exit;
}
failure_route[next] { if (t_is_canceled()) exit; if (t_next_contacts()) { t_on_failure("next"); t_relay(); } }
route[reason_off] { t_set_no_e2e_cancel_reason("1"); t_relay(); exit; }
route[branch_failure] { t_on_branch_failure("again"); append_branch("$(hdr(X-C){nameaddr.uri})"); t_relay(); exit; }
event_route[tm:branch-failure:again] {
    if (t_check_status("503")) { route(D); append_branch("$(hdr(X-D){nameaddr.uri})"); t_relay(); }
}
route[uac] { t_newtran(); t_uac_send("MESSAGE", "$(hdr(X-C){nameaddr.uri})", "", "", "From: <sip:me@example.com>;tag=from-me\r\nTo: <sip:carol@example.com>\r\nCall-ID: made\r\nContent-Type: text/plain\r\nX-Made: here\r\n", "hello"); t_reply("200", "OK"); exit; }
route[sl_302] { $ru = "sip:one@example.com"; append_branch("sip:two@example.com"); sl_send_reply("302", "Moved"); exit; }
route[t_302] { $ru = "sip:one@example.com"; append_branch("sip:two@example.com"); t_newtran(); t_reply("302", "Moved"); exit; }
route[sl_code] { sl_send_reply("999", "Strange"); exit; }
route[t_code] { t_newtran(); t_reply("99", "Strange"); exit; }
route[send_mode] { send_reply_mode("404", "Not here", "1"); exit; }
route[async_nothing] { async_task_route("NOTHING"); exit; }
route[NOTHING] { exit; }
route[no_internal] { t_set_disable_internal_reply("1"); t_set_fr(700, 500); t_relay(); exit; }
route[clean] { t_clean(); t_relay(); exit; }
"""
)

FAMILIES = {
    "plain": ("", ""),
    "parameters": (
        "",
        'modparam("tm", "cancel_b_method", 2)\nmodparam("tm", "failure_reply_mode", 3)\n'
        'modparam("tm", "aggregate_challenges", 0)\nmodparam("tm", "disable_6xx_block", 1)\n'
        'modparam("tm", "remap_503_500", 0)\nmodparam("tm", "auto_inv_100", 0)\n'
        'modparam("tm", "e2e_cancel_reason", 0)\nmodparam("tm", "local_cancel_reason", 0)\n'
        'modparam("rr", "enable_full_lr", 1)\n',
    ),
    "others": (
        "",
        'modparam("tm", "cancel_b_method", 0)\nmodparam("tm", "failure_reply_mode", 1)\n'
        'modparam("tm", "relay_100", 1)\nmodparam("tm", "restart_fr_on_each_reply", 0)\n'
        'modparam("tm", "faked_reply_prio", 5000)\nmodparam("tm", "unmatched_cancel", 2)\n'
        'modparam("tm", "ac_extra_hdrs", "P-")\nmodparam("tm", "noisy_ctimer", 0)\n'
        'modparam("rr", "enable_double_rr", 0)\nmodparam("rr", "add_username", 1)\n',
    ),
}  # fmt: skip


def text_of(family, folder=""):
    more, params = FAMILIES[family]
    loads = "".join(f'loadmodule "{name}.so"\n' for name in MODULES)
    return HEAD.format(more=more) + loads + PARAMS + params + ROUTES
