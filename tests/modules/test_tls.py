"""The module tls: tls.cfg, its mistakes, which profile serves whom."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kamtool.errors import ConfigErrors
from kamtool.modules.tls import config
from kamtool.modules.tls.profiles import ProfileSet
from kamtool.sip.flow import Address
from tests.support.tls import tls_cfg

HERE = Address("127.0.0.1", 5061)


@pytest.fixture
def read(tmp_path):
    def read(text):
        return config.parse(text, "tls.cfg", tmp_path)

    return read


@pytest.fixture
def two(authority):
    return [authority.issue([name], stem=f"mt-{name}", replace=True) for name in ("a.example", "b.example")]


def section(title, issued, more=""):
    return f"[{title}]\ncertificate = {issued.certificate}\nprivate_key = {issued.key}\n{more}\n"


def errors_of(call):
    with pytest.raises(ConfigErrors) as caught:
        call()
    return [(error.span.line, error.message) for error in caught.value.errors]


def test_kamailios_own_tls_cfg_is_read(read):
    domains = read(
        "# a comment\n[server:default]\nmethod = TLSv1.2+\nverify_certificate = no\n"
        "require_certificate = no\n"
        "private_key = /k.pem # its key\ncertificate = ./c.pem\nca_list = ca.pem\n"
        "[client:10.0.0.1:5061]\nverify_certificate = yes\nserver_name = \"x.example\"\nserver_id = one\n"
    )  # fmt: skip
    assert [each.title for each in domains] == ["server:default", "client:10.0.0.1:5061"]
    assert domains[0].private_key == "/k.pem"
    assert domains[0].certificate == "c.pem", "a leading dot is the working directory"
    assert re.fullmatch("/.*/ca.pem", domains[0].ca_list)
    assert (domains[1].server_name, domains[1].server_id, domains[1].verify_certificate) == (
        "x.example", "one", True,
    )  # fmt: skip


def test_every_mistake_is_told_with_its_line(read):
    found = errors_of(
        lambda: read(
            "method = TLSv1.2\n[server:default]\nmethd = TLSv1.2\nmethod = TLSv9\nverify_depth = many\n"
            "require_certificate = perhaps\n[server:example.com:5061]\nmethod = x\n"
            "[server:default]\n[peer:any]\n"
            "[client:default]\nverify_client = optional_no_ca\nmethod = SSLv3\n"
        )
    )
    assert [line for line, _ in found] == [1, 3, 4, 5, 6, 7, 9, 10, 12, 13]
    assert found[1][1] == "no attribute `methd`"


def test_a_hint_says_what_was_meant(read):
    with pytest.raises(ConfigErrors) as caught:
        read("[server:default]\nmethd = TLSv1.2\n")
    assert caught.value.errors[0].hint == "did you mean `method`?"


def test_the_name_chooses_the_profile(read, two):
    domains = read(
        section("server:127.0.0.1:5061", two[0], "server_name = a.example")
        + section("server:127.0.0.1:5061", two[1], "server_name = b.example\nserver_name_mode = 1")
        + section("server:any", two[1], "server_name = c.example\nserver_name_mode = 2")
        + section("server:default", two[0])
        + "[client:default]\n"
    )
    found = ProfileSet(domains)

    def name(address, asked):
        domain = found.server(address, asked).domain
        return domain.server_name or domain.title

    assert name(HERE, "a.example") == "a.example"
    assert name(HERE, "b.example") == name(HERE, "x.b.example") == "b.example"
    assert name(HERE, "x.a.example") == "a.example", (
        "mode 0 wants the name itself; else the first of the address"
    )
    assert name(HERE, "x.c.example") == "c.example"
    assert name(Address("127.0.0.2", 5061), "c.example") == "server:default"
    assert name(Address("127.0.0.2", 5061), "") == "server:default"


def test_a_client_profile_is_chosen_by_id_address_or_default(read, two):
    domains = read(
        "[client:default]\n[client:10.0.0.1:5061]\nserver_id = trunk\nverify_depth = 3\n"
        "[client:10.0.0.1:5061]\nserver_name = other.example\n"
    )
    found = ProfileSet(domains)
    there = Address("10.0.0.1", 5061)
    assert found.client(HERE, "", "trunk").domain.verify_depth == 3
    assert found.client(HERE, "", "nobody") is None
    assert found.client(there, "other.example", "").domain.server_name == "other.example"
    assert found.client(there, "x.example", "").domain.server_id == "trunk"
    assert found.client(HERE, "x.example", "").domain.title == "client:default"


def test_a_key_of_another_certificate_is_refused_with_its_line(read, two):
    text = f"[server:default]\ncertificate = {two[0].certificate}\nprivate_key = {two[1].key}\n"
    [(line, message)] = errors_of(lambda: ProfileSet(read(text)))
    assert line == 3
    assert "does not belong to" in message


@pytest.mark.parametrize("which", ["certificate", "private_key"])
def test_a_file_that_is_no_pem_is_refused_with_its_line_and_what_it_must_be(read, two, tmp_path, which):
    (tmp_path / "bad.pem").write_text("no PEM at all")
    pair = {"certificate": two[0].certificate, "private_key": two[0].key, which: "bad.pem"}
    text = "[server:default]\n" + "".join(f"{name} = {file}\n" for name, file in pair.items())
    with pytest.raises(ConfigErrors) as caught:
        ProfileSet(read(text))
    [error] = caught.value.errors
    assert error.span.line == (2 if which == "certificate" else 3)
    assert "PEM" in error.hint


def test_files_that_are_not_there_are_all_told(read, two):
    text = section("server:default", two[0], "ca_list = /none.pem") + section("server:any", two[1]).replace(
        ".key", ".none"
    )
    assert [line for line, _ in errors_of(lambda: ProfileSet(read(text)))] == [4, 7]


def test_an_expired_certificate_is_refused(read, authority, monkeypatch):
    made = authority.issue(["late.example"], days=1, stem="late", replace=True)
    domains = read(section("server:default", made))
    monkeypatch.setattr("kamtool.modules.tls.profiles.time.time", lambda: made.not_after_epoch + 3 * 86_400.0)
    [(line, message)] = errors_of(lambda: ProfileSet(domains))
    assert line == 2
    assert "expired 3 days ago" in message


def test_a_chain_in_the_wrong_order_is_refused(read, two, tmp_path):
    mixed = tmp_path / "mixed.pem"
    mixed.write_bytes(b"".join(Path(each.certificate).read_bytes() for each in two))
    text = f"[server:default]\ncertificate = {mixed}\nprivate_key = {two[0].key}\n"
    [(_, message)] = errors_of(lambda: ProfileSet(read(text)))
    assert re.search("the chain in .* is broken", message)


def test_a_chain_whose_issuer_nobody_knows_gets_a_warning(read, two, authority):
    assert len(ProfileSet(read(section("server:default", two[0]))).warnings) == 1
    with_ca = section("server:default", two[0], f"ca_list = {authority.certificate_file}")
    assert ProfileSet(read(with_ca)).warnings == []


def test_a_chain_whose_intermediate_is_missing_is_refused_with_the_place_where_it_is(read, tmp_path):
    """A certificate that says where its issuer's is to be had is from a public authority, or one like it."""
    leaf, key, between = public_chain("http://pki.example/between.cer")
    files = {"leaf.pem": leaf, "key.pem": key, "whole.pem": leaf + between, "between.pem": between}
    for name, octets in files.items():
        (tmp_path / name).write_bytes(octets)
    text = "[client:default]\n[server:default]\ncertificate = FILE\nprivate_key = key.pem\n"
    with pytest.raises(ConfigErrors) as caught:
        ProfileSet(read(text.replace("FILE", "leaf.pem")))
    [error] = caught.value.errors
    assert (error.span.line, "incomplete: the certificate of /CN=between is missing" in error.message) == (
        3,
        True,
    )
    assert "append it to the file" in error.hint
    assert "http://pki.example/between.cer" in error.hint
    # The root above the intermediate is what peers have; whether all do cannot be told.
    assert len(ProfileSet(read(text.replace("FILE", "whole.pem"))).warnings) == 1
    assert ProfileSet(read(f"{text.replace('FILE', 'leaf.pem')}ca_list = between.pem\n")).warnings == []


def public_chain(issuer_at):
    """A certificate with its key, issued by one that a root has issued. All as PEM."""

    def named(name):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])

    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("root", "between", "leaf")}
    now = datetime.now(UTC)

    def issue(name, by, is_ca):
        place = x509.AccessDescription(
            x509.AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuer_at)
        )
        made = (
            x509.CertificateBuilder().subject_name(named(name)).issuer_name(named(by))
            .public_key(keys[name].public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=9))
            .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
            .add_extension(x509.AuthorityInformationAccess([place]), critical=False)
        )  # fmt: skip
        return made.sign(keys[by], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    key = keys["leaf"].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return issue("leaf", "between", False), key, issue("between", "root", True)


def test_old_versions_need_the_word_legacy(read, two, authority):
    text = section("server:default", two[0], f"ca_list = {authority.certificate_file}\nmethod = TLSv1")
    made = ProfileSet(read(text))
    assert made.profiles[0].context.minimum_version.name == "TLSv1_2"
    assert "legacy" in made.warnings[0].hint
    made = ProfileSet(read(text + "legacy = yes\n"))
    assert made.profiles[0].context.minimum_version.name == "TLSv1"
    assert made.profiles[0].context.maximum_version.name == "TLSv1"
    assert made.warnings == []


def test_a_cipher_list_without_a_cipher_is_refused(read, two):
    text = section("server:default", two[0], "cipher_list = NONSENSE")
    assert [line for line, _ in errors_of(lambda: ProfileSet(read(text)))] == [4]


def test_kamtool_check_tells_of_a_bad_tls_cfg(tmp_path, authority, two):
    from kamtool.script import check

    path = tls_cfg(tmp_path, authority, two[0], server="colour = red")
    text = (
        f'enable_tls=yes\nloadmodule "tls.so"\nmodparam("tls", "config", "{path}")\nrequest_route {{ exit; }}'
    )
    report = check(text)
    assert [(error.span.file, error.span.line) for error in report.errors] == [(str(path), 5)]
