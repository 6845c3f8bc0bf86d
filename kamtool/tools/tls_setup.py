"""A first tls.cfg, and the names that this machine goes by."""

from __future__ import annotations

import socket as sockets
from pathlib import Path

from kamtool.server.listen import ipv4_addresses, ipv6_addresses
from kamtool.tools.tls_authority import Authority, Issued, write

CFG = """\
# TLS for SIP: one section for each certificate. Made by `kamtool tls init`; `kamtool tls check` checks it,
# `kamtool tls reload` lets a running server take what has changed.

# For connections that come in, whatever address and name they ask for.
[server:default]
method = TLSv1.2+
certificate = {certificate}
private_key = {key}
# Phones that have a certificate of ours may show it (`kamtool tls issue --user alice example.com`):
verify_certificate = yes
require_certificate = no
ca_list = {ca}
crl = {crl}
# legacy = yes             # allows TLS 1.0 and 1.1 (with `method`), for phones that know nothing newer

# For connections that we make. Without ca_list, the authorities of the system are trusted.
[client:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
certificate = {certificate}
private_key = {key}

# A further domain on the same port, chosen by the name that the client asks for (SNI):
# [server:any]
# server_name = other.example.com
# certificate = {folder}/other.example.com.pem
# private_key = {folder}/other.example.com.key
"""


def detected_names() -> list[str]:
    """The host name, whole and short, and every address: loopback last."""
    full, short = sockets.getfqdn().lower(), sockets.gethostname().lower()
    names = [name for name in (full, short) if name and not name.startswith("localhost")]
    addresses = [*ipv4_addresses(), *ipv6_addresses()]
    outer = [each for each in addresses if not each.startswith("127.") and each != "::1"]
    return list(dict.fromkeys([*names, *outer, "localhost", "127.0.0.1", "::1"]))


def write_cfg(path: Path, authority: Authority, server: Issued) -> None:
    """Write a tls.cfg that uses `server`."""
    text = CFG.format(
        certificate=server.certificate, key=server.key, ca=authority.certificate_file,
        crl=authority.folder / "crl.pem", folder=authority.folder,
    )  # fmt: skip
    write(path, text.encode())
