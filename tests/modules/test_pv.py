"""pv: variables that remember, and the module's functions (answers of Kamailio 5.6.3)."""

import pytest

from kamtool.errors import ConfigError, RpcError, ScriptError
from kamtool.script.context import Branch
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
    assert runtime.format("$sbranch(uri) $sbranch(q)")(ctx) == "sip:x 1"


@pytest.mark.parametrize(
    "text", ["$branch(nope)", "$via0(nope)", "$msg(nope)", "$K(A)", "$TV(z)", "$C(zz)", "$version(x)"]
)
def test_an_attribute_that_does_not_exist_is_a_mistake(runtime, text):
    ctx = runtime.message(PLAIN_INVITE)
    ctx.add_branch(Branch("sip:x"))
    with pytest.raises(ScriptError):
        runtime.get(ctx, text)
