"""No option of `stress` and `trace` is ignored without a word: it acts, or it is refused with the reason."""

import click
import pytest
from click.testing import CliRunner

from kamtool.cli import stress, stress_acting, trace, trace_acting
from kamtool.errors import UsageError

HERE = "127.0.0.1:9"
XML = """<scenario name="mine">
  <send><![CDATA[

      OPTIONS sip:[service]@[remote_ip] SIP/2.0
      Content-Length: 0

  ]]></send>
  <recv response="200"/>
</scenario>
"""


def refused(command, words, tmp_path):
    """What a command line is refused with; "" when it is not."""
    (tmp_path / "mine.xml").write_text(XML)
    (tmp_path / "f").write_text("x\n")
    words = [word.replace("@", f"{tmp_path}/") for word in words.split()]
    done = CliRunner().invoke(command, words)
    if not isinstance(done.exception, UsageError):
        return done.output if done.exit_code else ""
    assert done.exception.exit_code == 2
    assert "\n" not in str(done.exception)
    return str(done.exception)


STRESS = [
    ("options {} --p99 5ms", "--p99 would do nothing: it is the limit of --find-max"),
    ("options {} --step 5s", "--step would do nothing"),
    ("options {} --closed 3 --rate 9", "--rate would do nothing: in a closed loop"),
    ("options {} --closed 3 --ramp 1:2:3s", "--ramp"),
    ("options {} --closed 3 --poisson", "--poisson"),
    ("options {} --closed 3 --find-max", "--find-max would do nothing: a closed loop"),
    ("options {} --closed 3 --tick 1ms", "--tick"),
    ("options {} --think 1s", "--think"),
    ("options {} --ramp 1:2:3s -r 5", "--rate would do nothing: --ramp"),
    *((f"options {{}} --find-max {option}", option.split()[0]) for option in (
        "--duration 5s", "--calls 4", "--ramp 1:2:3s", "--html @x", "--csv @x", "--junit @x", "--hdr @x",
        "--fail-if p99(call)>5ms", "--baseline @f", "--target-pid 1")),
    *((f"uas {option}", option.split()[0]) for option in (
        "--rate 5", "--closed 2", "--find-max", "--poisson", "--patience 3s", "--users 4", "--service x",
        "--password-file @f", "--hold 1s", "--domain x", "--tick 1ms", "--connections 5",
        )),
    ("uas --transport tcp --sources 3", "--sources"),
    ("uas --transport tls --ca @f", "--ca"),
    *((f"conn {{}} {option}", option.split()[0]) for option in (
        "--rate 5", "--calls 5", "--closed 5", "--ramp 1:2:3s", "--poisson", "--sources 3", "--users 4",
        "--timeout 3s", "--patience 3s", "--seed 4", "--segment", "--cert @f", "--find-max", "--domain x",
        "--password-file @f", "--speed 2", "--tick 1ms", "--local 127.0.0.1:5")),
    *((f"replay @f {{}} {option}", option.split()[0]) for option in (
        "--rate 5", "--calls 5", "--users 4", "--sources 3", "--seed 4", "--hold 1s", "--tick 1ms",
        "--no-callee", "--find-max", "--service x")),
    *((f"fuzz {{}} {option}", option.split()[0]) for option in (
        "--ramp 1:2:3s", "--poisson", "--sources 2", "--users 3", "--timeout 3s", "--password-file @f",
        "--segment", "--hold 1s", "--local 127.0.0.1:5")),
    ("fuzz {} --local 127.0.0.1 --local 127.0.0.2", "--local"),
    ("storm {} --seed 3", "--seed"),
    *((f"-f @mine.xml {{}} {option}", option.split()[0]) for option in (
        "--users 5", "--domain x", "--no-callee", "--password-file @f", "--allow-commands", "--sn uac",
        "--key yours 1", "--slave-cfg @f", "--capture @f", "--server a:1")),
    *((f"uac {{}} {option}", option.split()[0]) for option in (
        "--inf @f", "--users 5", "--key mine 1", "--password-file @f", "--no-callee", "--cert @f",
        "--cert-key @f", "--ca @f", "--tolerance 5%", "--slave-cfg @f")),
    ("register {} --service x", "--service"),
    ("invite {} --service x", "--service"),
    ("invite {} --tick 1ms", "--tick"),
    ("register {} --no-callee", "--no-callee"),
    ("register {} --hold 1s", "--hold"),
    ("options tcp:{} --segment", "--segment"),
    ("options tcp:{} --tick 1ms", "--tick"),
    ("options tls:{} --cert-key @f", "--cert-key would do nothing: it belongs to a --cert"),
    ("options {} -l 127.0.0.1:5 -l 127.0.0.2:6", "--local 127.0.0.2:6"),
    ("options {} --calls 2 --workers 4", "4 processes are too many for 2 calls"),
    ("options {} --closed 2 --workers 4", "4 processes are too many for 2 callers"),
    ("conn udp:{}", "conn goes by tcp or tls, not by udp"),
    ("conn ws:{}", "conn goes by tcp or tls, not by ws"),
    ("slow-loris udp:{}", "slow-loris goes by tcp, not by udp"),
    ("brute-force tls:{}", "brute-force goes by udp, not by tls"),
    ("options tls:{} --transport tcp", "is not by tcp"),
    ("options --show --html @x", "--html would do nothing: --show"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), STRESS)
def test_what_would_do_nothing_in_a_load_is_refused(words, said, tmp_path):
    told = refused(stress.command, words.format(HERE), tmp_path)
    assert said in told, told
    assert "Usage" not in told


TRACE = [
    *((f"-r @f {option}", option.split()[0]) for option in (
        "--listen-hep 9060", "--before 3s", "--cfg", "--no-cfg", "--socket @s", "--for 3s")),
    *((f"--listen-hep 127.0.0.1:0 {option}", option.split()[0]) for option in (
        "--before 3s", "--cfg", "--socket @s")),
    *(option for option in (
        ("--encap pdu", "--encap"), ("--rotate-size 1M", "--rotate-size"), ("--files 3", "--files"),
        ("--rotate-time 1m", "--rotate-time"), ("-w @x --files 3", "--files"), ("--hep-id 3", "--hep-id"),
        ("-w - --rotate-time 1m", "--rotate-time"), ("--hep-version 2", "--hep-version"),
        ("--hep udp:127.0.0.1:9 --hep-version 1 --hep-id 3", "--hep-id"),
        ("--hep udp:127.0.0.1:9 --hep-version 2 --hep-key-file @f", "--hep-key-file"),
        ("--hep-key-file @f", "--hep-key-file"), ("--whole-calls", "--whole-calls"))),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), TRACE)
def test_what_would_do_nothing_in_a_trace_is_refused(words, said, tmp_path):
    told = refused(trace.command, words, tmp_path)
    assert told.startswith(f"{said} would do nothing: "), told


ALWAYS = {
    stress.command: {
        "transport", "workers", "twin", "master", "scenario", "key", "json_file", "i_own_target", "show",
        "no_panel", "output", "baseline",
    },
    trace.command: {"files", "write", "hep_place", "format_", "call_id", "user", "ip", "redact"},
}  # fmt: skip
"""What acts in every run, or is judged where it is read."""


@pytest.mark.parametrize(
    ("command", "rules"), [(stress.command, stress_acting.RULES), (trace.command, trace_acting.RULES)]
)
def test_every_option_has_its_place_in_the_table(command, rules):
    options = {one.name for one in command.params if isinstance(one, click.Option)}
    ruled = {option for option, _, _ in rules}
    assert options - ruled <= ALWAYS[command]
    assert ruled <= options
