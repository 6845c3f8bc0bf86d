"""Certificates read without a library, compared with one that has a library."""

import ssl
from contextlib import suppress

import pytest
from cryptography import x509 as library
from hypothesis import given
from hypothesis import strategies as st

from kamtool.transport.x509 import BadCertificate, read_der, read_pem, shown_date, sip_identities, speaks_for


@pytest.fixture(scope="module")
def pair(authority):
    made = authority.issue(["sip.example.com", "*.example.org", "192.0.2.7", "2001:db8::7"], stem="x509")
    with open(made.certificate, "rb") as file:
        data = file.read()
    return read_pem(data)[0], library.load_pem_x509_certificate(data)


def test_it_says_what_the_library_says(pair):
    ours, theirs = pair
    assert (ours.serial, ours.version) == (theirs.serial_number, theirs.version.value)
    assert ours.not_after_epoch == theirs.not_valid_after_utc.timestamp()
    assert ours.not_before_epoch == theirs.not_valid_before_utc.timestamp()
    assert ours.part("CN") == "sip.example.com"
    assert ours.part("CN", issuer=True) == "tests"
    assert ours.alt_names == {
        "dns": ("sip.example.com", "*.example.org"), "ip": ("192.0.2.7", "2001:db8::7"),
        "uri": ("sip:sip.example.com",),
    }  # fmt: skip
    assert not ours.is_ca


def test_the_roots_of_the_system_are_all_read():
    file = ssl.get_default_verify_paths().cafile
    if not file:
        pytest.skip("no trust store in one file")
    with open(file, "rb") as store:
        data = store.read()
    roots = read_pem(data)
    assert len(roots) == data.count(b"BEGIN CERTIFICATE")
    assert all(root.subject and root.not_after_epoch for root in roots)


def test_whom_it_speaks_for(pair):
    """RFC 5922 7.1 and 7.2."""
    ours, _ = pair
    assert sip_identities(ours) == ["sip.example.com", "192.0.2.7", "2001:db8::7"]
    assert speaks_for(ours, "SIP.example.com.")
    assert speaks_for(ours, "[2001:db8::7]")
    assert not speaks_for(ours, "example.com")
    assert not speaks_for(ours, "a.example.org"), "a wildcard matches nothing in SIP"


def test_a_date_looks_as_openssl_shows_it():
    assert shown_date(1795404403) == "Nov 23 03:26:43 2026 GMT"
    assert shown_date(0) == "Jan  1 00:00:00 1970 GMT"


@given(st.data())
def test_a_damaged_certificate_is_read_or_refused(pair, data):
    damaged = bytearray(pair[0].der)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    for text in (bytes(damaged), bytes(damaged[:cut])):
        with suppress(BadCertificate):
            read_der(text)
