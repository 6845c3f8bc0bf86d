"""A cfg is checked without a stumble, and what the checker lets pass compiles."""

from kamtool.script.program import check

MAX_LENGTH = 1024
BITS = (
    """loadmodule "tm.so"
loadmodule "sl.so"
modparam("tm", "fr_timer", 5)
request_route { if (!t_relay()) { sl_reply_error(); } }
""",
    """#!define A 1
#!ifdef A
#!subst "/x/y/g"
#!else
x
#!endif
debug=A
listen=udp:127.0.0.1:5060
request_route { exit; }
""",
    """loadmodule "pv.so"
request_route {
  $var(i) = 0; while ($var(i) < 3) { $var(i) = $var(i) + 1; }
  switch ($rU) { case /"^1": drop; default: break; }
}
""",
    """route[A] { return (-1); }
request_route { if (route(A) && $ru =~ "^sip:(.*)@" || not method == "INVITE") { route(A); } else { exit; } }
""",
    """loadmodule "pv.so"
loadmodule "xlog.so"
request_route { xlog("L_INFO", "$ru{s.len} $(hdr(Via)[0]) $avp(x) \\"q\\"\\n"); $du = $null; }
onreply_route[R] { ; }
failure_route[F] { if (t_is_canceled()) exit; }
""",
    """mpath="/x"
alias="a" "b"
flags FLAG_A:1;
/* c */ import_file "nothing"
event_route[tm:local-request] { setflag(FLAG_A); }
request_route { force_rport; append_branch(); }
""",
)


def seeds():
    return [bit.encode() for bit in BITS]


def run(data):
    text = data.decode("utf-8", "surrogateescape")
    if "include_file" in text or "\0" in text:
        return
    report = check(text, name="fuzz.cfg")
    for finding in report.findings:
        assert finding.span.line >= 0
        str(finding)
