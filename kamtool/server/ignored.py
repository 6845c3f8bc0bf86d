"""What a cfg sets that does nothing here, said once at start."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kamtool.script.settings import PARAMETERS, Honour, Settings
from kamtool.server.log import NOTICE

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("kamtool.server")

WHY = {
    "auto_aliases": "names of the listening addresses are not looked up: write `alias=`",
    "bind_ipv6_link_local": "a link-local address needs a zone, which SIP cannot write",
    "check_via": "responses are matched by the branch of our own Via (RFC 3261 §17.1.3)",
    "chroot": "`kamtool serve -t DIR` does it",
    "dns_cache_rec_pref": "a new answer takes the place of the old one",
    "enable_sctp": "there is no SCTP",
    "http_reply_parse": "a stream is HTTP only where the module xhttp is loaded",
    "mcast": "multicast groups are not joined",
    "phone2tel": "a URI is never taken for a tel: URI",
    "reply_to_via": "responses go where RFC 3261 §18.2.2 sends them",
    "rev_dns": "`received` is added whenever the source is not the sent-by host",
    "tcp_accept_haproxy": "the PROXY protocol is not spoken",
    "tcp_accept_hep3": "there is no HEP on the SIP ports",
    "udp_accept_proxy": "the PROXY protocol is not spoken",
}
"""Of those that change what a peer or an operator sees. The others tune parts that kamtool does not have."""

UNREAD = frozenset(
    [
        "hdr_name_extra_chars",
        "log_engine_data",
        "log_engine_type",
        "onsend_route_reply",
        "received_route_mode",
        "tls_send_timeout",
        "uri_host_extra_chars",
    ]
)
"""Of the parameters that are honoured in part: those of which nothing is."""


def without_effect(settings: Settings) -> Iterator[str]:
    """The parameters that a cfg sets, to something else than off, and that nothing here reads."""
    for name, value in settings.values.items():
        parameter = PARAMETERS.get(name)
        if parameter is None or value in (0, "", "0", "no"):
            continue
        if parameter.honour is Honour.NONE or name in UNREAD:
            yield name


def tell(settings: Settings) -> None:
    """One line for each that matters, one for all the rest."""
    rest = []
    for name in without_effect(settings):
        if name in WHY:
            log.log(NOTICE, "%s does nothing here: %s", name, WHY[name])
        else:
            rest.append(name)
    if rest:
        log.info("these tune parts that kamtool does not have, and do nothing: %s", ", ".join(rest))
