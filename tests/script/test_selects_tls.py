"""Paths of `@tls`: those that Kamailio 5.6.3 knows, each the variable of the same meaning."""

import pytest

from kamtool.errors import ScriptError
from kamtool.modules.tls import Tls
from kamtool.script.selects_tls import CERTIFICATE, CONNECTION, PARTS, variable


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("version", "tls_version"), ("cipher", "tls_cipher_info"), ("cipher.bits", "tls_cipher_bits"),
        ("description", "tls_description"), ("server_name", "tls_peer_server_name"),
        ("me.subj", "tls_my_subject"), ("peer.subject.cn", "tls_peer_subject_cn"),
        ("peer.subj.commonName", "tls_peer_subject_cn"), ("peer.subj.uid", "tls_peer_subject_uid"),
        ("peer.self_signed", "tls_peer_selfsigned"), ("peer.sn", "tls_peer_serial"),
        ("peer.serialNumber", "tls_peer_serial"), ("peer.dns", "tls_peer_san_hostname"),
        ("peer.hostname", "tls_peer_san_hostname"), ("peer.url", "tls_peer_san_uri"),
        ("peer.raw_cert", "tls_peer_raw_cert"), ("my.notBefore", "tls_my_not_before"),
        ("peer.subj.country", "tls_peer_subject_country"), ("peer.issuer.st", "tls_peer_issuer_state"),
        ("my.version", "tls_my_version"),
    ],
)  # fmt: skip
def test_a_path_is_the_variable_of_the_same_meaning(path, name):
    assert variable(tuple(path.split("."))) == name


@pytest.mark.parametrize("path", ["peer.alt.uri", "peer.san.uri", "peer.cn", "peer.verified.x", "", "peer"])
def test_what_kamailio_does_not_know_is_no_path(path):
    with pytest.raises(ScriptError, match="no select 'tls"):
        variable(tuple(path.split(".")) if path else ())


def test_every_path_ends_at_something_that_the_module_has():
    paths = [*CONNECTION, *((side, word) for side in ("peer", "my") for word in CERTIFICATE)]
    paths += [(side, who, part) for side in ("peer", "my") for who in ("subj", "issuer") for part in PARTS]
    assert not [path for path in paths if not callable(getattr(Tls, variable(path), None))]
