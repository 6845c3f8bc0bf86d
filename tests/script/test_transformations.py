"""What every transformation makes of a text: answers of Kamailio 5.6.3, and ours where it crashes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ConfigError, ScriptError
from kamtool.module import declaration, find
from tests.support.messages import BARE_OPTIONS
from tests.support.runtime import Runtime

VARIABLES = {
    "br": "<abc>",
    "br2": "[x]",
    "br3": "(x)",
    "cln": "1:2:3",
    "csv": 'a"b,c',
    "e": "",
    "esc": "a'b\"c\\d",
    "hx": "0xff",
    "i": 5,
    "l": "one\r\ntwo\r\nthree\r\n",
    "mix": "a1b2-c3",
    "n": "42",
    "na": '"Bob B" <sip:bob@h;x=1>;tag=5;expires=3, <sip:c@d>',
    "na2": "sip:x@y;tag=1",
    "na3": "Bob <sip:z@w>",
    "neg": "-7",
    "one": 1,
    "p": 'a=1;b="two;2";c;d=4',
    "p2": "a=1,b=2,c",
    "q": '"quoted"',
    "q1": "'single'",
    "rm": "banana",
    "s": "Hello World",
    "sp": "  a b\t c  ",
    "t": "a,b,,c",
    "ts": "1000000000",
    "u": 'sip:al%20ice:pw@Example.com:5070;transport=tcp;foo=bar;lr;x="q q"?h=1&k=2',
    "u2": "sip:example.com",
    "u3": "tel:+123;phone-context=x",
    "u4": "sips:a@[::1]:5061;maddr=1.2.3.4;ttl=3;method=INVITE;user=phone",
    "uni": "héllo",
    "url": "a+b%20c%26d",
    "us": "a b@c/d?e&f=g:h;i+j%k",
    "ws": "a b\tc\r\nd",
}
"""What `$var(…)` holds in the rows; no AVP is set."""

KAMAILIO = [
    ("$(var(s){s.len})", "11"),
    ("$(var(uni){s.len})", "6"),
    ("$(var(e){s.len})", "0"),
    ("$(avp(u){s.len})", ""),
    ("$(var(i){s.len})", "1"),
    ("$(var(n){s.int})", "42"),
    ("$(var(hx){s.int})", ""),
    ("$(var(neg){s.int})", "-7"),
    ("$(var(s){s.int})", ""),
    ("$(var(e){s.int})", ""),
    ("$(var(s){s.md5})", "b10a8db164e0754105b7a99be72e3fe5"),
    ("$(var(s){s.sha256})", "a591a6d40bf420404a011733cfb7b190d62c65bf0bcda32b57b277d9ad9f146e"),
    (
        "$(var(s){s.sha384})",
        "99514329186b2f6ae4a1329e7ee6c610a729636335174ac6b740f9028396fcc803d0e93863a7c3d90f86beee782f4f3f",
    ),
    (
        "$(var(s){s.sha512})",
        "2c74fd17edafd80e8447b0d46741ee243b7eb74dd2149a0ab1b9246fb30382f27e853d8585719e0e67cbda0daa8f51671064615d645ae27acb15bfb1447f459b",
    ),
    ("$(var(s){s.substr,0,5})", "Hello"),
    ("$(var(s){s.substr,-5,3})", "Wor"),
    ("$(var(s){s.substr,6,0})", "World"),
    ("$(var(s){s.substr,6,100})", "World"),
    ("$(var(s){s.substr,20,1})", ""),
    ("$(var(s){s.substr,-20,5})", ""),
    ("$(var(s){s.substr,$var(one),3})", "ell"),
    ("$(var(s){s.substr,$var(n),3})", ""),
    ("$(var(t){s.select,0,,})", "a"),
    ("$(var(t){s.select,2,,})", ""),
    ("$(var(t){s.select,3,,})", "c"),
    ("$(var(t){s.select,4,,})", ""),
    ("$(var(t){s.select,-1,,})", "c"),
    ("$(var(t){s.select,-2,,})", ""),
    ("$(var(t){s.select,-9,,})", ""),
    ("$(var(s){s.select,0,x})", "Hello World"),
    ("$(var(s){s.select,1,x})", ""),
    ("$(var(s){s.select,-1,x})", "Hello World"),
    ("$(var(cln){s.select,1,:})", "2"),
    ("$(var(ws){s.select,1,\\t})", "c\r\nd"),
    ("$(var(s){s.strip,3})", "lo World"),
    ("$(var(s){s.strip,11})", ""),
    ("$(var(s){s.strip,12})", ""),
    ("$(var(s){s.striptail,3})", "Hello Wo"),
    ("$(var(s){s.striptail,12})", ""),
    ("$(var(s){s.stripto,o})", "o World"),
    ("$(var(s){s.stripto,z})", ""),
    ("$(var(s){s.tolower})", "hello world"),
    ("$(var(s){s.toupper})", "HELLO WORLD"),
    ("$(var(sp){s.trim})", "a b\t c"),
    ("$(var(sp){s.ltrim})", "a b\t c  "),
    ("$(var(sp){s.rtrim})", "  a b\t c"),
    ("$(var(rm){s.rm,an})", "ba"),
    ("$(var(rm){s.rm,a})", "bnn"),
    ("$(var(ws){s.rmws})", "abcd"),
    ("$(var(rm){s.replace,a,o})", "bonono"),
    ("$(var(rm){s.replace,an,})", "ba"),
    ("$(var(rm){s.replace,zz,y})", "banana"),
    ("$(var(rm){s.count,a})", "3"),
    ("$(var(rm){s.count,z})", "0"),
    ("$(var(s){s.before,o})", "Hell"),
    ("$(var(s){s.after,o})", " World"),
    ("$(var(s){s.before,z})", "Hello World"),
    ("$(var(s){s.after,z})", ""),
    ("$(var(mix){s.numeric})", "123"),
    ("$(var(s){s.numeric})", ""),
    ("$(var(q){s.unquote})", "quoted"),
    ("$(var(q1){s.unquote})", "single"),
    ("$(var(br){s.unbracket})", "abc"),
    ("$(var(br2){s.unbracket})", "x"),
    ("$(var(br3){s.unbracket})", "x"),
    ("$(var(s){s.prefixes})", "H,He,Hel,Hell,Hello,Hello ,Hello W,Hello Wo,Hello Wor,Hello Worl,Hello World"),
    ("$(var(s){s.prefixes,3})", "H,He,Hel"),
    ("$(var(s){s.prefixes.quoted,2})", "'H','He'"),
    (
        "$(var(s){s.prefixes.quoted})",
        "'H','He','Hel','Hell','Hello','Hello ','Hello W','Hello Wo','Hello Wor','Hello Worl','Hello World'",
    ),
    ("$(var(s){s.encode.hexa})", "48656c6c6f20576f726c64"),
    ("$(var(n){s.decode.hexa})", "B"),
    ("$(var(s){s.decode.hexa})", ""),
    ("$(var(s){s.encode.base64})", "SGVsbG8gV29ybGQ="),
    ("$(var(s){s.encode.base64t})", "SGVsbG8gV29ybGQ"),
    ("$(var(s){s.encode.base64url})", "SGVsbG8gV29ybGQ="),
    ("$(var(s){s.encode.base64urlt})", "SGVsbG8gV29ybGQ"),
    ("$(var(s){s.encode.base58})", "JxF12TrwUP45BMd"),
    ("$(var(s){s.encode.base64}{s.decode.base64})", "Hello World"),
    ("$(var(s){s.decode.base64})", ""),
    ("$(var(s){s.encode.base64t}{s.decode.base64t})", "Hello World"),
    ("$(var(s){s.encode.base64url}{s.decode.base64url})", "Hello World"),
    ("$(var(s){s.encode.base64urlt}{s.decode.base64urlt})", "Hello World"),
    ("$(var(esc){s.escape.common})", "a\\'b\\\"c\\\\d"),
    ("$(var(esc){s.escape.common}{s.unescape.common})", "a'b\"c\\d"),
    ("$(var(us){s.escape.user})", "a%20b%40c%2fd?e&f=g%3ah;i+j%25k"),
    ("$(var(us){s.escape.user}{s.unescape.user})", "a b@c/d?e&f=g:h;i+j%k"),
    ("$(var(us){s.escape.param})", "a%20b%40c/d%3fe&f%3dg:h%3bi+j%25k"),
    ("$(var(us){s.escape.param}{s.unescape.param})", "a b@c/d?e&f=g:h;i+j%k"),
    ("$(var(csv){s.escape.csv})", '"a""b,c"'),
    ("$(var(us){s.urlencode.param})", "a%20b%40c%2fd%3fe%26f%3dg%3ah%3bi%2bj%25k"),
    ("$(var(url){s.urldecode.param})", "a b c&d"),
    ("$(var(ts){s.ftime,%Y-%m-%d})", "2001-09-09"),
    ("$(var(s){s.ftime,%Y})", ""),
    ("$(var(u){uri.host})", "Example.com"),
    ("$(var(u){uri.domain})", "Example.com"),
    ("$(var(u){uri.passwd})", "pw"),
    ("$(var(u){uri.port})", "5070"),
    ("$(var(u){uri.params})", 'transport=tcp;foo=bar;lr;x="q q"'),
    ("$(var(u){uri.param,foo})", "bar"),
    ("$(var(u){uri.user})", "al%20ice"),
    ("$(var(u){uri.param,lr})", ""),
    ("$(var(u){uri.param,no})", ""),
    ("$(var(u){uri.param,x})", "q q"),
    ("$(var(u){uri.headers})", "h=1&k=2"),
    ("$(var(u){uri.transport})", "tcp"),
    ("$(var(u){uri.ttl})", ""),
    ("$(var(u){uri.uparam})", ""),
    ("$(var(u){uri.maddr})", ""),
    ("$(var(u){uri.method})", ""),
    ("$(var(u){uri.lr})", ""),
    ("$(var(u){uri.r2})", ""),
    ("$(var(u){uri.scheme})", "sip"),
    ("$(var(u){uri.tosocket})", "tcp:Example.com:5070"),
    ("$(var(u2){uri.user})", ""),
    ("$(var(u2){uri.port})", ""),
    ("$(var(u2){uri.host})", "example.com"),
    ("$(var(u2){uri.params})", ""),
    ("$(var(u2){uri.tosocket})", ""),
    ("$(var(u3){uri.host})", ""),
    ("$(var(u3){uri.scheme})", "tel"),
    ("$(var(u4){uri.user})", "a"),
    ("$(var(u4){uri.host})", "[::1]"),
    ("$(var(u4){uri.port})", "5061"),
    ("$(var(u4){uri.maddr})", "1.2.3.4"),
    ("$(var(u4){uri.ttl})", "3"),
    ("$(var(u4){uri.method})", "INVITE"),
    ("$(var(u4){uri.uparam})", "phone"),
    ("$(var(u4){uri.scheme})", "sips"),
    ("$(var(s){uri.user})", ""),
    ("$(var(e){uri.user})", ""),
    ("$(var(u4){uri.transport})", ""),
    ("$(var(p){param.value,a})", "1"),
    ("$(var(p){param.value,b})", "two;2"),
    ("$(var(p){param.value,c})", ""),
    ("$(var(p){param.value,zz})", ""),
    ("$(var(p){param.value,A})", "1"),
    ("$(var(p){param.valueat,0})", "1"),
    ("$(var(p){param.valueat,1})", "two;2"),
    ("$(var(p){param.valueat,-1})", "4"),
    ("$(var(p){param.valueat,9})", ""),
    ("$(var(p){param.name,0})", "a"),
    ("$(var(p){param.name,2})", "c"),
    ("$(var(p){param.name,-1})", "d"),
    ("$(var(p){param.name,9})", ""),
    ("$(var(p){param.count})", "4"),
    ("$(var(p2){param.count})", "1"),
    ("$(var(e){param.count})", ""),
    ("$(var(p){param.in,b})", "1"),
    ("$(var(p){param.in,z})", "0"),
    ("$(var(na){nameaddr.name})", '"Bob B" '),
    ("$(var(na){nameaddr.uri})", "sip:bob@h;x=1"),
    ("$(var(na){nameaddr.len})", "23"),
    ("$(var(na2){nameaddr.name})", ""),
    ("$(var(na2){nameaddr.uri})", "sip:x@y;tag=1"),
    ("$(var(na2){nameaddr.len})", "13"),
    ("$(var(na3){nameaddr.name})", "Bob "),
    ("$(var(na3){nameaddr.uri})", "sip:z@w"),
    ("$(var(na3){nameaddr.len})", "13"),
    ("$(var(s){nameaddr.uri})", "Hello World"),
    ("$(var(na3){tobody.uri})", "sip:z@w"),
    ("$(var(na3){tobody.user})", "z"),
    ("$(var(na3){tobody.host})", "w"),
    ("$(var(na3){tobody.display})", "Bob"),
    ("$(var(na3){tobody.tag})", ""),
    ("$(var(na3){tobody.params})", ""),
    ("$(var(na2){tobody.uri})", "sip:x@y"),
    ("$(var(na2){tobody.tag})", "1"),
    ("$(var(na2){tobody.params})", "tag=1"),
    ("$(var(l){line.count})", "3"),
    ("$(var(l){line.at,0})", "one"),
    ("$(var(l){line.at,-1})", "three"),
    ("$(var(l){line.at,9})", ""),
    ("$(var(l){line.sw,tw})", "two"),
    ("$(var(l){line.sw,zz})", ""),
    ("$(avp(u){s.select,0,x})", ""),
    ("$(avp(u){uri.user})", ""),
    ("$(avp(u){param.value,x})", ""),
    ("$(avp(u){nameaddr.uri})", ""),
    ("$(avp(u){tobody.uri})", ""),
    ("$(avp(u){line.count})", ""),
    ("$(avp(u){s.int})", ""),
    ("$(avp(u){s.md5})", ""),
    ("$(var(cln){s.select,-1,:})", "3"),
    ("$(var(s){re.subst,/o/0/g})", "Hell0 W0rld"),
    ("$(var(s){re.subst,/(H)(e)/\\2\\1/})", "eHllo World"),
    ("$(var(s){re.subst,/zz/0/g})", "Hello World"),
    ("$(var(s){re.subst,/O/0/gi})", "Hell0 W0rld"),
    ("$(var(s){re.subst,/l+/$var(n)/})", "He42o World"),
    ("$(avp(u){re.subst,/a/b/})", ""),
    ("$(var(na2){urialias.encode})", "y~5060~1"),
]

KAMAILIO += [
    ("$(var(s){s.fmtlines,3,2})", "H\r\n  e\r\n  llo World"),
    ("$(var(s){s.fmtlinet,3,2})", "H\r\n\t\te\r\n\t\tllo World"),
]

OURS = [
    ("$(var(s){s.sha1})", "0a4d55a8d778e5022fab701977c5d840bbc486d0"),
    ("$(var(s){s.encode.base58}{s.decode.base58})", "Hello World"),
    ("$(var(s){s.encode.7bit})", "C8329BFD065DDF723619"),
    ("$(var(s){s.encode.7bit}{s.decode.7bit})", "Hello World"),
    ("$(var(s){s.rbefore,o})", "Hello W"),
    ("$(var(s){s.rafter,o})", "rld"),
    ("$(var(s){s.rbefore,z})", "Hello World"),
    ("$(var(s){s.rafter,z})", ""),
    ("$(var(u){uri.duri})", "sip:Example.com:5070;transport=tcp"),
    ("$(var(u){uri.saor})", "sip:al%20ice@Example.com"),
    ("$(var(u){uri.suri})", "sip:al%20ice@Example.com:5070;transport=tcp"),
    ("$(var(u2){uri.duri})", "sip:example.com"),
    ("$(var(u2){uri.saor})", "sip:example.com"),
    ("$(var(u2){uri.suri})", "sip:example.com"),
    ("$(var(u2){uri.rmparam,x})", "sip:example.com"),
    ("$(var(u4){uri.rmparam,TTL})", "sips:a@[::1]:5061;maddr=1.2.3.4;method=INVITE;user=phone"),
    ("$(var(u4){uri.tosocket})", "tls:[::1]:5061"),
    ("$(var(u3){uri.user})", "+123"),
    ("$(var(u3){uri.params})", "phone-context=x"),
    ("$(var(p2){param.value,b,,})", "2"),
    ("$(var(p2){param.count,,})", "3"),
    ("$(var(s){s.fmtlines,9,-})", "H\r\ne\r\nl\r\nl\r\no\r\n \r\nW\r\no\r\nrld"),
    ("$(var(n){urialias.decode})", ""),
    ("$(var(u){urialias.encode}{urialias.decode})", "sip:Example.com:5070;transport=tcp"),
    ("$(var(u4){urialias.encode})", "[::1]~5061~3"),
]


@pytest.fixture(scope="module")
def runtime():
    found = Runtime("pv", "textops", "siputils")
    found.modules["pv"].variables.update(VARIABLES)
    return found


@pytest.fixture
def ctx(runtime):
    return runtime.message(BARE_OPTIONS)


@pytest.mark.parametrize(("text", "result"), KAMAILIO + OURS, ids=[row[0] for row in KAMAILIO + OURS])
def test_a_transformation(runtime, ctx, text, result):
    assert runtime.format(text)(ctx) == result


@pytest.mark.parametrize(
    "text", ["$(avp(u){s.len})", "$(avp(u){s.select,0,x})", "$(avp(u){uri.user}{s.len})"]
)
def test_undefined_stays_undefined(runtime, ctx, text):
    assert runtime.get(ctx, text) is None


@pytest.mark.parametrize(
    "text",
    ["{s.len}", "{s.int}", "{s.count,a}", "{line.count}", "{param.count}", "{nameaddr.len}", "{param.in,x}"],
)
def test_what_counts_is_an_int(runtime, ctx, text):
    assert type(runtime.get(ctx, f"$(var(n){text})")) is int


def test_a_number_in_a_variable_counts_but_its_text_does_not(runtime, ctx):
    assert runtime.get(ctx, "$(var(s){s.substr,$var(one),2})") == "el"
    assert runtime.get(ctx, "$(var(s){s.substr,$var(n),2})") is None


@pytest.mark.parametrize("text", ["{s.nosuch}", "{uri.nosuch}", "{s.substr,1}", "{s.len,1}", "{s.select}"])
def test_an_unknown_name_or_a_missing_argument_is_refused(runtime, text):
    with pytest.raises(ConfigError):
        runtime.scope.variable(f"$(var(s){text})")


TRANSFORMATIONS = [
    (module, found)
    for module in ("pv", "textops", "siputils", "corex")
    for found in declaration(find(module)).transformations.values()
]
ANY_TEXT = st.one_of(
    st.text(max_size=60),
    st.binary(max_size=40).map(lambda octets: octets.decode("utf-8", "surrogateescape")),
    st.from_regex(r"sips?:[a-z%:@;=?&\[\]0-9.]{0,30}", fullmatch=True),
)
ARGUMENT = st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(-9, 9), st.text(max_size=5), st.none())


@given(
    st.sampled_from(TRANSFORMATIONS),
    ANY_TEXT | st.integers() | st.none(),
    st.lists(ARGUMENT, min_size=3, max_size=3),
)
def test_any_text_gives_a_value_or_a_script_error(transformation, value, arguments):
    module, found = transformation
    method = getattr(INSTANCES[module], found.attribute)
    for count in range(found.minimum, min(found.maximum, 3) + 1):
        try:
            result = method(value, *arguments[:count])
        except ScriptError:
            continue
        assert result is None or type(result) in (int, str)


INSTANCES = Runtime("pv", "textops", "siputils", "corex").modules


@given(st.binary(max_size=200))
def test_codecs_are_undone_by_their_opposites(octets):
    pv = INSTANCES["pv"]
    text = octets.decode("utf-8", "surrogateescape")
    for name in ("hexa", "base64", "base64t", "base64url", "base64urlt", "base58"):
        by_name = declaration(find("pv")).transformations
        encode = getattr(pv, by_name[f"s.encode.{name}"].attribute)
        decode = getattr(pv, by_name[f"s.decode.{name}"].attribute)
        assert decode(encode(text)) == text
    assert pv.s_unescape_common(pv.s_escape_common(text)) == text
    assert pv.s_unescape_user(pv.s_escape_user(text)) == text
    assert pv.s_unescape_user(pv.s_escape_param(text)) == text
