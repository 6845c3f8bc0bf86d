"""What a cfg sets that does nothing here, said once at start."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from kamtool.module import declaration
from kamtool.script.settings import PARAMETERS, Honour, Settings
from kamtool.server.log import NOTICE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kamtool.module import Module
    from kamtool.script.program import Script

log = logging.getLogger("kamtool.server")

_TLS = "the module tls has parameters of its own, and tls.cfg"
WHY = {
    "async_nonblock": "what waits here holds up nothing else",
    "async_workers": "asynchronous functions need no workers of their own",
    "async_workers_group": "asynchronous functions need no workers of their own",
    "auto_aliases": "names of the listening addresses are not looked up: write `alias=`",
    "bind_ipv6_link_local": "a link-local address needs a zone, which SIP cannot write",
    "check_via": "responses are matched by the branch of our own Via (RFC 3261 §17.1.3)",
    "dns_cache_rec_pref": "a new answer takes the place of the old one",
    "enable_sctp": "there is no SCTP",
    "hdr_name_extra_chars": "names of headers are read as RFC 3261 has them",
    "http_reply_parse": "a stream is HTTP only where the module xhttp is loaded",
    "log_engine_data": "the log goes to stderr or to syslog",
    "log_engine_type": "the log goes to stderr or to syslog",
    "mcast": "multicast groups are not joined",
    "onsend_route_reply": "onsend_route runs for requests alone",
    "phone2tel": "a URI is never taken for a tel: URI",
    "received_route_mode": "event_route[core:msg-received] runs where there is one",
    "reply_to_via": "responses go where RFC 3261 §18.2.2 sends them",
    "rev_dns": "`received` is added whenever the source is not the sent-by host",
    "tcp_accept_haproxy": "the PROXY protocol is not spoken",
    "tcp_accept_hep3": "there is no HEP on the SIP ports",
    "tcp_async": "connections are opened and written to without waiting, always",
    "tls_ca_list": _TLS,
    "tls_certificate": _TLS,
    "tls_method": _TLS,
    "tls_private_key": _TLS,
    "tls_require_certificate": _TLS,
    "tls_send_timeout": "tcp_send_timeout holds for TLS too",
    "tls_verify": _TLS,
    "udp_accept_proxy": "the PROXY protocol is not spoken",
    "uri_host_extra_chars": "host names are read as RFC 3261 has them",
}
"""Of those that change what a peer or an operator sees. The others tune parts that kamtool does not have."""


ALWAYS_ON = frozenset(("tcp_async",))
"""What is on whatever a cfg says: to put it off is what does nothing."""


def without_effect(settings: Settings) -> Iterator[str]:
    """The parameters that a cfg sets, to something else than what is done anyway, and that nothing reads."""
    for name, value in settings.values.items():
        parameter = PARAMETERS.get(name)
        if parameter is None or parameter.honour is not Honour.NONE:
            continue
        is_off = value in (0, "", "0", "no")
        if is_off == (name in ALWAYS_ON):
            yield name


def tell_params(script: Script, modules: Mapping[str, Module]) -> None:
    """One line for each parameter of a module that the cfg sets to something else, and that is not needed."""
    said: set[tuple[str, str]] = set()
    for param in script.modparams:
        for name, module in modules.items():
            declared = declaration(type(module)).params.get(param.name)
            if declared is None or not declared.is_ignored or not re.fullmatch(param.modules, name):
                continue
            if param.value != declared.default and (name, param.name) not in said:
                said.add((name, param.name))
                level = logging.WARNING if declared.doc.startswith("ignored") else logging.INFO
                log.log(level, "modparam %s %s is %s", name, param.name, declared.doc)


def tell(settings: Settings, *, alone: bool = False) -> None:
    """One line for each global parameter that matters, one for all the rest. `alone`: no workers."""
    children = settings.values.get("children", 0)
    if alone and isinstance(children, int) and children > 1:
        log.log(
            NOTICE,
            "children=%d makes no workers: one process serves all, unless --workers N (or auto) says more",
            children,
        )
    rest = []
    for name in without_effect(settings):
        if name in WHY:
            log.log(NOTICE, "%s does nothing here: %s", name, WHY[name])
        else:
            rest.append(name)
    if rest:
        log.info("these tune parts that kamtool does not have, and do nothing: %s", ", ".join(rest))
