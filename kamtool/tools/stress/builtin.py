"""The built-in scenarios, in SIPp's own language: `kamtool stress NAME --show` prints one to begin from.

Each sends its requests through the target. A challenge is met once, with the algorithm that the target asks
for.
"""

from __future__ import annotations

from kamtool.tools.sippxml.model import Scenario
from kamtool.tools.sippxml.scenario import parse_scenario

_HEAD = """\
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
      Max-Forwards: 70
      From: <sip:[user]@[domain]>;tag=[pid]f[call_number]"""

_SDP = """\
      v=0
      o=kamtool 1 1 IN IP[local_ip_type] [local_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 8 0 101
      a=rtpmap:8 PCMA/8000
      a=rtpmap:0 PCMU/8000
      a=rtpmap:101 telephone-event/8000"""

_TAIL = "      User-Agent: kamtool stress\n"


def _request(method: str, uri: str, to: str, extra: str = "", body: str = "", *, proof: bool = False) -> str:
    """A `<send>` of one request outside a dialog."""
    lines = [
        f"      {method} {uri} SIP/2.0", _HEAD, f"      To: <{to}>", "      Call-ID: [call_id]",
        f"      CSeq: [cseq] {method}", extra.rstrip("\n"), "      [authentication]" if proof else "",
        _TAIL.rstrip("\n"), "      Content-Length: [len]", "", body,
    ]  # fmt: skip
    text = "\n".join(line for place, line in enumerate(lines) if line or place == len(lines) - 2)
    return f'  <send retrans="500">\n    <![CDATA[\n\n{text}\n\n    ]]>\n  </send>\n'


def _ask(
    method: str, uri: str, to: str, extra: str = "", body: str = "", codes: tuple[str, ...] = ("200",)
) -> str:
    """A request, and again with credentials when it is challenged; then the label `done`."""
    first = _request(method, uri, to, extra, body)
    again = _request(method, uri, to, extra, body, proof=True)
    accepted = "".join(f'  <recv response="{code}" optional="true" next="done"/>\n' for code in codes[1:])
    last = f'  <recv response="{codes[0]}" next="done"/>\n'
    return (
        f'{first}  <recv response="100" optional="true"/>\n'
        '  <recv response="401" optional="true" auth="true" next="proof"/>\n'
        f'  <recv response="407" optional="true" auth="true" next="proof"/>\n{accepted}{last}'
        f'  <label id="proof"/>\n{again}  <recv response="100"'
        f' optional="true"/>\n{accepted}{last}  <label id="done"/>\n'
    )


_CONTACT = "      Contact: <sip:[user]@[local_ip]:[local_port];transport=[transport]>"


def _whole(name: str, inner: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="{name}">\n{inner}</scenario>\n'


def _invite() -> str:
    uri = "sip:[callee]@[domain]"
    extra = f"{_CONTACT}\n      Allow: INVITE, ACK, CANCEL, OPTIONS, BYE\n      Content-Type: application/sdp"
    ack = """\
  <send>
    <![CDATA[

      ACK [next_url] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
      [routes]
      Max-Forwards: 70
      From: <sip:[user]@[domain]>;tag=[pid]f[call_number]
      [last_To:]
      Call-ID: [call_id]
      CSeq: [cseq] ACK
      Content-Length: 0

    ]]>
  </send>
"""
    refused = """\
  <send>
    <![CDATA[

      ACK sip:[callee]@[domain] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch-7];rport
      Max-Forwards: 70
      From: <sip:[user]@[domain]>;tag=[pid]f[call_number]
      [last_To:]
      Call-ID: [call_id]
      CSeq: 1 ACK
      Content-Length: 0

    ]]>
  </send>
"""
    bye = """\
  <pause/>
  <send retrans="500">
    <![CDATA[

      BYE [next_url] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
      [routes]
      Max-Forwards: 70
      From: <sip:[user]@[domain]>;tag=[pid]f[call_number]
      [last_To:]
      Call-ID: [call_id]
      CSeq: [cseq] BYE
      Content-Length: 0

    ]]>
  </send>
  <recv response="100" optional="true"/>
  <recv response="200"/>
"""
    ringing = "".join(f'  <recv response="{code}" optional="true"/>\n' for code in (100, 180, 183))
    answered = f'{ringing}  <recv response="200" rrs="true" next="answered"/>\n'
    challenged = "".join(
        f'  <recv response="{code}" optional="true" auth="true" next="proof"/>\n' for code in (401, 407)
    )
    return _whole(
        "invite",
        _request("INVITE", uri, uri, extra, _SDP)
        + challenged
        + answered
        + '  <label id="proof"/>\n'
        + refused
        + _request("INVITE", uri, uri, extra, _SDP, proof=True)
        + answered
        + '  <label id="answered"/>\n'
        + ack
        + bye,
    )


_UAC = """\
  <send retrans="500">
    <![CDATA[

      INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: kamtool <sip:kamtool@[local_ip]:[local_port]>;tag=[pid]f[call_number]
      To: <sip:[service]@[remote_ip]:[remote_port]>
      Call-ID: [call_id]
      CSeq: 1 INVITE
      Contact: <sip:kamtool@[local_ip]:[local_port];transport=[transport]>
      Max-Forwards: 70
      Content-Type: application/sdp
      Content-Length: [len]

SDP
    ]]>
  </send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="183" optional="true"/>
  <recv response="200"/>
  <send>
    <![CDATA[

      ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: kamtool <sip:kamtool@[local_ip]:[local_port]>;tag=[pid]f[call_number]
      To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
      Call-ID: [call_id]
      CSeq: 1 ACK
      Max-Forwards: 70
      Content-Length: 0

    ]]>
  </send>
  <pause/>
  <send retrans="500">
    <![CDATA[

      BYE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: kamtool <sip:kamtool@[local_ip]:[local_port]>;tag=[pid]f[call_number]
      To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
      Call-ID: [call_id]
      CSeq: 2 BYE
      Max-Forwards: 70
      Content-Length: 0

    ]]>
  </send>
  <recv response="200"/>
"""


def _reply(status: str, contact: bool = False, sdp: bool = False, retrans: bool = False) -> str:
    lines = [
        f"      SIP/2.0 {status}", "      [last_Via:]", "      [last_Record-Route:]", "      [last_From:]",
        "      [last_To:];tag=[pid]t[call_number]" if contact else "      [last_To:]",
        "      [last_Call-ID:]", "      [last_CSeq:]",
    ]  # fmt: skip
    if contact:
        lines.append("      Contact: <sip:[local_ip]:[local_port];transport=[transport]>")
    if sdp:
        lines += ["      Content-Type: application/sdp", "      Content-Length: [len]", "", _SDP]
    else:
        lines += ["      Content-Length: 0"]
    attribute = ' retrans="500"' if retrans else ""
    return f"  <send{attribute}>\n    <![CDATA[\n\n" + "\n".join(lines) + "\n\n    ]]>\n  </send>\n"


def _uas() -> str:
    ack = '  <recv request="ACK"/>\n  <recv request="BYE"/>\n'
    ringing, answer = _reply("180 Ringing", True), _reply("200 OK", True, True, True)
    return _whole("uas", f'  <recv request="INVITE"/>\n{ringing}{answer}{ack}{_reply("200 OK")}')


def _texts() -> dict[str, str]:
    domain = "sip:[domain]"
    own = "sip:[user]@[domain]"
    other = "sip:[callee]@[domain]"
    register = f"{_CONTACT}\n      Expires: [expires]"
    subscribe = f"{_CONTACT}\n      Event: presence\n      Accept: application/pidf+xml\n      Expires: 60"
    return {
        "options": _whole(
            "options", _ask("OPTIONS", domain, domain, f"{_CONTACT}\n      Accept: application/sdp")
        ),
        "register": _whole("register", _ask("REGISTER", domain, own, register)),
        "message": _whole(
            "message",
            _ask(
                "MESSAGE",
                other,
                other,
                "      Content-Type: text/plain",
                "      Hello, this is call [call_number].",
                ("200", "202"),
            ),
        ),
        "subscribe": _whole("subscribe", _ask("SUBSCRIBE", other, other, subscribe, "", ("200", "202"))),
        "invite": _invite(),
        "uac": _whole("uac", _UAC.replace("SDP", _SDP)),
        "uas": _uas(),
    }


TEXTS = _texts()
NAMES = tuple(TEXTS)
MIXED = {"register": 50, "options": 20, "message": 15, "invite": 15}
"""Of 100 operations of `mixed`, how many are which."""

KEYS = ("user", "callee", "domain", "expires")


def scenario(name: str) -> Scenario:
    """A built-in scenario by its name."""
    return parse_scenario(TEXTS[name].encode(), f"<{name}>", KEYS)
