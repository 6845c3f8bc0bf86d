"""RFC 3261 §25 as regular expressions over bytes: what the pure twin matches and the kernel follows by hand.

Runs of single characters are possessive; what repeats in a group cannot match in two ways, so every match
is linear in its input. (Groups are not possessive: Python 3.11.2, which Debian 12 has, matches those
wrongly, gh-106052.) Where the RFC is stricter than phones in the wild, the wider form is taken and said so.
"""

from __future__ import annotations

import re

_LWS = rb"[ \t\r\n]*+"  # inside a header's value a line end is always part of a fold
_TOKEN = rb"[A-Za-z0-9\-.!%*_+`'~]++"
_QUOTED = rb'"(?:[^"\\]++|\\.)*"'
_SCHEME = rb"[A-Za-z][A-Za-z0-9+.\-]*+"
_HOST = rb"(?:\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9._\-]++)"  # `_` is no part of a hostname, but of many in use

# gen-value, wider: `received=2001:db8::1` has colons (RFC 5118 §4.5), `branch=` is empty in the wild.
_VALUE = rb"(?:%s|[^\x00-\x20;,\"<>]*+)" % _QUOTED
_PARAMS = rb"((?:%s;%s%s(?:%s=%s%s)?)*)" % (_LWS, _LWS, _TOKEN, _LWS, _LWS, _VALUE)


def _compile(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


HEADER = _compile(rb"(%s)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*)\n(?![ \t])" % _TOKEN)
HEADER_LINE = _compile(rb"[^\n]*+(?:\n[ \t][^\n]*+)*\n?")
EMPTY_LINE = _compile(rb"\r?\n")
REQUEST_LINE = _compile(rb"(%s) (.*) ([^ ]*+)\Z" % _TOKEN)
STATUS_LINE = _compile(rb"[Ss][Ii][Pp]/([0-9]++\.[0-9]++) ([1-6][0-9][0-9])(?: (.*))?\Z")
VERSION = _compile(rb"[Ss][Ii][Pp]/([0-9]++\.[0-9]++)\Z")
URI = _compile(rb"(%s):[^\x00-\x20<>\"]++\Z" % _SCHEME)
SIP_URI = _compile(
    # With an `@` anywhere, what is before the first one is the user, whatever it contains (RFC 4475
    # §3.1.1.9).
    rb"([Ss][Ii][Pp][Ss]?):(?:([^@:]++)(?::([^@]*+))?@|(?![^@]*+@))(%s)(?::([0-9]{1,5}+))?((?:;[^;?]*+)*)(\?.*)?\Z"
    % _HOST
)
PARAM = _compile(rb"%s;%s(%s)(?:%s=%s(%s))?" % (_LWS, _LWS, _TOKEN, _LWS, _LWS, _VALUE))
TRAILING = _compile(_LWS + rb"(,|\Z)")
END = _compile(_LWS + rb"\Z")
VIA = _compile(
    _LWS
    + rb"(%s)%s/%s(%s)%s/%s(%s)[ \t\r\n]++(%s)" % (_TOKEN, _LWS, _LWS, _TOKEN, _LWS, _LWS, _TOKEN, _HOST)
    + rb"(?:%s:%s([0-9]{1,5}+)(?![0-9]))?" % (_LWS, _LWS)
    + _PARAMS
)
# The display name is wider than tokens: anything but `"<>,;`. Many phones write UTF-8 there without quotes.
NAME_ADDR = _compile(
    _LWS
    + rb"(?:(%s|[^\"<>,;]*+)%s<(%s:[^\x00-\x20<>\"]++)>|(%s:[^\x00-\x20<>\",;?]++))"
    % (_QUOTED, _LWS, _SCHEME, _SCHEME)
    + _PARAMS
)
CSEQ = _compile(rb"([0-9]++)[ \t\r\n]++(%s)\Z" % _TOKEN)
DIGITS = _compile(rb"[0-9]++\Z")
WORD = _compile(rb"[^\x00-\x20]++\Z")
LIST_STOP = _compile(rb"[\",<]")
QUOTED = _compile(_QUOTED)
CREDENTIAL = _compile(rb" *+([A-Za-z0-9]++)=(?:\"([\x20\x21\x23-\x5b\x5d-\x7e]*+)\"|(%s)) *+" % _TOKEN)
