"""pv: variables that remember, and the module's functions (answers of Kamailio 5.6.3)."""

import pytest

from kamtool.errors import ConfigError, RpcError, ScriptError
from kamtool.script import check
from tests.support.messages import PLAIN_INVITE
from tests.support.runtime import Runtime


@pytest.fixture
def runtime():
    return Runtime("pv")


@pytest.fixture
def ctx(runtime):
    return runtime.message(PLAIN_INVITE)


def test_var_outlives_the_message_and_is_never_undefined(runtime, ctx):
    assert runtime.get(ctx, "$var(x)") == 0
    runtime.set(ctx, "$var(x)", "v")
    assert runtime.get(runtime.message(PLAIN_INVITE), "$var(x)") == "v"
    runtime.set(ctx, "$var(x)", None)
    assert runtime.get(ctx, "$var(x)") == 0


def test_vn_is_undefined_until_it_is_set(runtime, ctx):
    assert runtime.get(ctx, "$vn(x)") is None
    runtime.set(ctx, "$vn(x)", 5)
    assert runtime.get(ctx, "$vn(x)") == 5
    runtime.set(ctx, "$vn(x)", None)
    assert runtime.get(ctx, "$vn(x)") is None


def test_blanks_belong_to_a_name(runtime, ctx):
    runtime.set(ctx, "$var( x)", 1)
    assert runtime.get(ctx, "$var(x)") == 0


def test_shared_and_process_variables_have_first_values(runtime, ctx):
    module = runtime.modules["pv"]
    for name, value in (
        ("shvset", "a=i:5"),
        ("shvset", "b=s:x=y"),
        ("varset", "c=s:z"),
        ("varset", "d=i:-1"),
    ):
        module.set_param(name, value)
    assert [runtime.get(ctx, f"$shv({n})") for n in "abz"] == [5, "x=y", 0]
    assert [runtime.get(ctx, f"$var({n})") for n in "cd"] == ["z", -1]
    runtime.set(ctx, "$shv(a)", 6)
    assert module.rpc_shv_get("a") == {"a": 6}
    module.rpc_shv_set("a", "str", "t")
    assert module.rpc_shv_get() == {"a": "t", "b": "x=y"}
    with pytest.raises(RpcError):
        module.rpc_shv_get("nope")


@pytest.mark.parametrize("value", ["x", "x=5", "x=q:5", "=i:5"])
def test_a_malformed_first_value_is_a_mistake(runtime, value):
    with pytest.raises(ConfigError):
        runtime.modules["pv"].set_param("shvset", value)


def test_avps_belong_to_the_message(runtime, ctx):
    runtime.set(ctx, "$avp(x)", "a")
    runtime.set(ctx, "$avp(s:x)", "b")
    assert runtime.get(ctx, "$(avp(x)[*])") == "b, a"
    assert runtime.get(runtime.message(PLAIN_INVITE), "$avp(x)") is None
    assert runtime.get(ctx.fork(), "$avp(x)") == "b"


def test_an_avp_by_number_is_another_one(runtime, ctx):
    runtime.set(ctx, "$avp(i:12)", "number")
    assert runtime.get(ctx, "$avp(12)") is None
    assert runtime.get(ctx, "$avp(i:12)") == "number"
    with pytest.raises(ScriptError):
        runtime.get(ctx, "$avp(i:x)")


def test_an_avp_has_short_names(runtime, ctx):
    runtime.modules["pv"].set_param("avp_aliases", "uuid=i:660;did=s:from_did")
    runtime.set(ctx, "$avp(uuid)", 1)
    runtime.set(ctx, "$avp(did)", 2)
    assert (runtime.get(ctx, "$avp(i:660)"), runtime.get(ctx, "$avp(from_did)")) == (1, 2)


def test_values_are_counted(runtime, ctx):
    assert runtime.get(ctx, "$cnt($avp(x))") == 0
    for value in ("a", "b"):
        runtime.set(ctx, "$avp(x)", value)
        runtime.set(ctx, "$xavp(r=>k)", value)
    runtime.set(ctx, "$xavp(r[0]=>k)", "more")
    counted = [
        runtime.get(ctx, f"$cnt({t})") for t in ("$avp(x)", "$xavp(r)", "$xavp(r[0]=>k)", "$xavp(r[1]=>k)")
    ]
    assert counted == [2, 2, 2, 1]


def test_a_name_may_be_a_variable(runtime, ctx):
    runtime.set(ctx, "$var(n)", "dyn")
    runtime.set(ctx, "$avp($var(n))", "v")
    assert runtime.get(ctx, "$avp(dyn)") == "v"
    runtime.set(ctx, "$xavp($var(n)=>$rU)", "w")
    assert runtime.get(ctx, "$xavp(dyn=>alice)") == "w"


def test_xavps_are_records(runtime, ctx):
    for value in (1, 2):
        runtime.set(ctx, "$xavp(a=>k)", value)
    runtime.set(ctx, "$xavp(a[0]=>other)", "o")
    assert [runtime.get(ctx, f"$xavp({t})") for t in ("a=>k", "a[1]=>k", "a=>other", "a[1]=>other")] == [
        2,
        1,
        "o",
        None,
    ]
    runtime.set(ctx, "$xavp(a[*])", None)
    assert runtime.get(ctx, "$xavp(a=>k)") is None
    runtime.set(ctx, "$xavp(s)", "v")
    assert runtime.get(ctx, "$xavp(s)") == "v"
    runtime.set(ctx, "$xavi(N=>F)", 1)
    assert runtime.get(ctx, "$xavi(n=>f)") == 1
    runtime.set(ctx, "$xavu(u=>k)", 1)
    runtime.set(ctx, "$xavu(u=>k)", 2)
    assert runtime.get(ctx, "$xavu(u=>k)") == 2


@pytest.mark.parametrize("text", ["$xavp(a[0]=>k)", "$xavp(=>k)", "$xavp(a[x]=>k)"])
def test_there_is_no_such_place_in_an_xavp(runtime, ctx, text):
    with pytest.raises(ScriptError):
        runtime.set(ctx, text, 1)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (("pv_isset", "$rU"), 1),
        (("pv_isset", "$avp(x)"), -1),
        (("is_int", "$sp"), 1),
        (("is_int", "$si"), -1),
        (("is_int", "$avp(x)"), -1),
        (("typeof", "$sp", "int"), 1),
        (("typeof", "$sp", "str"), -1),
        (("typeof", "$rU", "str"), 1),
        (("typeof", "$avp(x)", "null"), 1),
        (("typeof", "$avp(x)", "none"), 1),
        (("not_empty", "$rU"), 1),
        (("not_empty", "$sp"), -1),
        (("not_empty", "$avp(x)"), -1),
        (("sbranch_append",), -1),
        (("sbranch_set_ruri",), -1),
        (("xavp_rm", "none"), -1),
        (("xavp_params_explode", "", "r"), -1),
        (("xavp_params_implode", "none", "$var(o)"), -1),
        (("pv_xavp_to_var", "none"), -1),
        (("pv_unset", "$avp(x)"), 1),
    ],
)
def test_the_return_code(runtime, ctx, call, code):
    assert runtime.call(ctx, *call) == code


def test_pv_unset_assigns_null(runtime, ctx):
    ctx.dst_uri = "sip:x"
    assert runtime.call(ctx, "pv_unset", "$du") == 1
    assert ctx.dst_uri is None


def test_flags_are_numbers_that_may_be_assigned(runtime, ctx):
    for name in ("mf", "bf", "sf"):
        runtime.set(ctx, f"${name}", 5)
        assert runtime.format(f"${name} ${name[0]}F")(ctx) == "5 00000005"


def test_the_static_branch_keeps_what_it_is_given(runtime, ctx):
    assert runtime.get(ctx, "$sbranch(uri)") is None
    runtime.set(ctx, "$sbranch(uri)", "sip:x")
    runtime.set(ctx, "$sbranch(q)", "1")
    assert runtime.format("$sbranch(uri) $sbranch(q)")(ctx) == "sip:x 1000"


@pytest.mark.parametrize(
    "text", ["$branch(nope)", "$via0(nope)", "$msg(nope)", "$K(A)", "$TV(z)", "$C(zz)", "$version(x)"]
)
def test_an_attribute_that_does_not_exist_is_a_mistake(runtime, text):
    """As Kamailio, which does not start with one."""
    with pytest.raises(ConfigError, match="is nothing that") as refused:
        runtime.get(runtime.message(PLAIN_INVITE), text)
    assert refused.value.code == "KT1321"


def test_the_static_branch_becomes_the_r_uri_or_a_branch(runtime, ctx):
    runtime.set(ctx, "$sbranch(uri)", "sip:x@y")
    runtime.set(ctx, "$sbranch(dst_uri)", "sip:hop")
    assert runtime.call(ctx, "sbranch_append") == 1
    runtime.set(ctx, "$sbranch(uri)", "sip:z@y")
    assert runtime.call(ctx, "sbranch_set_ruri") == 1
    assert (
        runtime.format("$ru $du $(branch(uri)[0]) $(branch(dst_uri)[0])")(ctx)
        == "sip:z@y sip:hop sip:x@y sip:hop"
    )
    runtime.call(ctx, "sbranch_reset")
    assert runtime.get(ctx, "$sbranch(uri)") is None


def test_a_record_is_made_of_parameters_and_the_reverse(runtime, ctx):
    assert runtime.call(ctx, "xavp_params_explode", "a=1;b=two;c", "r") == 1
    assert runtime.format("$xavp(r=>a) $xavp(r=>b) <$xavp(r=>c)>")(ctx) == "1 two <>"
    runtime.set(ctx, "$xavp(b=>x)", 1)
    runtime.set(ctx, "$xavp(b[0]=>y)", "two")
    assert runtime.call(ctx, "xavp_params_implode", "b", "$var(o)") == 1
    assert runtime.get(ctx, "$var(o)") == "y=two;x=1;"
    assert runtime.call(ctx, "xavu_params_explode", "a=1;b=two", "u") == 1
    assert runtime.format("$xavu(u=>a) $xavu(u=>b)")(ctx) == "1 two"
    assert runtime.call(ctx, "xavp_slist_explode", "a, b", ",", "t", "l") == 1
    assert runtime.format("$xavp(l=>v) $xavp(l=>v[1])")(ctx) == "a b"


def test_records_are_copied_removed_and_set(runtime, ctx):
    for value in (1, 2):
        runtime.set(ctx, "$xavp(b=>x)", value)
    assert runtime.call(ctx, "xavp_copy", "b", 1, "c") == 1
    assert runtime.call(ctx, "xavp_copy", "b", 0, "c", 0) == 1
    assert runtime.format("$xavp(c=>x) $cnt($xavp(c))")(ctx) == "2 1"
    assert runtime.call(ctx, "xavp_copy", "b", 0, "none", 0) == -1
    assert runtime.call(ctx, "xavp_copy", "none", 0, "c") == -1
    assert runtime.call(ctx, "xavp_rm", "b") == 1
    assert runtime.get(ctx, "$xavp(b=>x)") == 1
    assert runtime.call(ctx, "xavp_child_rm", "b", "x") == 1
    assert runtime.get(ctx, "$xavp(b=>x)") is None
    assert runtime.call(ctx, "xavp_child_seti", "q", "x", "5") == 1
    assert runtime.call(ctx, "xavp_child_sets", "q", "x", "six") == 1
    assert runtime.format("$xavp(q=>x) $cnt($xavp(q)) $cnt($xavp(q=>x))")(ctx) == "six 1 1"


def test_variables_become_a_record_and_the_reverse(runtime, ctx):
    runtime.set(ctx, "$var(ch)", "v")
    assert runtime.call(ctx, "pv_var_to_xavp", "ch", "g") == 1
    assert runtime.get(ctx, "$xavp(g=>ch)") == "v"
    assert runtime.call(ctx, "pv_var_to_xavp", "none", "g") == -1
    runtime.set(ctx, "$xavp(g=>new)", 7)
    assert runtime.call(ctx, "pv_xavp_to_var", "g") == 1
    assert runtime.get(ctx, "$var(new)") == 7


def test_a_format_is_evaluated_twice(runtime, ctx):
    runtime.set(ctx, "$var(f)", "$rU")
    assert runtime.call(ctx, "pv_evalx", "$var(o)", "user $var(f)") == 1
    assert runtime.get(ctx, "$var(o)") == "user alice"
    runtime.set(ctx, "$var(f)", "$nosuchvariable")
    assert runtime.call(ctx, "pv_evalx", "$var(o)", "$var(f)") == -1


def test_records_are_printed(runtime, ctx, caplog):
    import logging

    runtime.set(ctx, "$xavp(b=>x)", 1)
    runtime.set(ctx, "$xavi(B=>X)", 1)
    runtime.set(ctx, "$xavu(u)", "v")
    with caplog.at_level(logging.INFO, "kamtool"):
        for name in ("pv_xavp_print", "pv_xavi_print", "pv_xavu_print"):
            assert runtime.call(ctx, name) == 1
    assert [r.getMessage() for r in caplog.records] == [
        "$xavp(b[0]) = {x=1}",
        "$xavi(b[0]) = {x=1}",
        "$xavu(u) = 'v'",
    ]


@pytest.mark.parametrize("inner", ["$hdr(X-List)", "x", "$avp(x"])
def test_cnt_of_what_cannot_be_counted_is_refused_at_load(inner):
    """Kamailio 5.6.3 refuses the start."""
    text = f'loadmodule "pv.so"\nrequest_route {{ $var(n) = $cnt({inner}); }}\n'
    errors = check(text).errors
    assert errors
    assert all(error.span.line == 2 for error in errors)


def test_cnt_of_an_avp_is_accepted_at_load():
    text = 'loadmodule "pv.so"\nrequest_route { $var(n) = $cnt($avp(x)) + $cnt($xavp(a=>b)); }\n'
    assert check(text).errors == ()
