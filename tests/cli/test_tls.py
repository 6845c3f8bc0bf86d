"""`kamtool tls`: an authority of one's own, certificates, and what is said about them."""

import json
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from kamtool.cli.tls import command
from kamtool.errors import UsageError
from kamtool.modules.tls import config
from kamtool.modules.tls.profiles import ProfileSet


@pytest.fixture
def tls(tmp_path):
    """`tls("issue", "x")` in a folder of its own; `.folder` is that folder."""

    def run(*words, ok=True, env=None):
        words = list(map(str, words))
        own = [] if words[0] in ("inspect", "connections", "kick", "reload") else ["--dir", run.folder]
        done = CliRunner().invoke(command, [*words, *map(str, own)], env=env)
        if ok:
            assert done.exit_code == 0, (done.output, done.exception)
        return done

    run.folder = tmp_path / "tls"
    return run


@pytest.fixture
def made(tls):
    tls("init", "sip.example.com", "127.0.0.1")
    return tls


def load(path):
    return x509.load_pem_x509_certificate(Path(path).read_bytes())


def rows(done):
    return json.loads(done.stdout)


def test_init_makes_an_authority_a_certificate_and_a_tls_cfg_that_works(made):
    folder = made.folder
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    assert len(context.get_ca_certs()) == 1
    found = ProfileSet(config.read(folder / "tls.cfg", folder))
    assert [each.domain.title for each in found.profiles] == ["server:default", "client:default"]
    assert found.warnings == []
    names = load(folder / "server.pem").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["sip.example.com"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["sip:sip.example.com"], "RFC 5922"


def test_keys_are_for_their_owner_alone(made):
    keys = list(made.folder.glob("*.key"))
    assert len(keys) == 2
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert not list(made.folder.glob(".*")), "nothing is left behind"


def test_no_command_prints_a_key(made):
    for words in (("list",), ("check", made.folder / "server.pem"), ("inspect", made.folder / "server.pem"),
                  ("renew", "--all"), ("export", "server", "--to", made.folder / "out.pem")):  # fmt: skip
        assert "PRIVATE KEY" not in made(*words).output


def test_init_keeps_what_is_there(made):
    before = {path: path.read_bytes() for path in made.folder.iterdir()}
    refused = made("init", "other.example.com", ok=False)
    assert isinstance(refused.exception, UsageError)
    assert refused.exception.exit_code == 4
    assert {path: path.read_bytes() for path in made.folder.iterdir()} == before


def test_dry_runs_make_nothing(tls):
    tls("init", "--dry-run", "x.example.com")
    assert not tls.folder.exists()


def test_init_without_a_name_takes_the_names_of_this_machine(tls):
    assert "127.0.0.1" in tls("init", "--dry-run").output


def test_an_authority_may_be_limited(tls):
    tls("init", "sip.example.com", "--only-for", "example.com", "--only-for", "127.0.0.0/8")
    found = load(tls.folder / "ca.pem").extensions.get_extension_for_class(x509.NameConstraints)
    assert found.critical
    assert found.value.permitted_subtrees[0].value == "example.com"


def test_a_user_gets_a_client_certificate_with_its_sip_uri(made):
    made("issue", "--user", "alice", "example.com")
    certificate = load(made.folder / "alice@example.com.pem")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["sip:alice@example.com"]
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert x509.ExtendedKeyUsageOID.SERVER_AUTH not in usages


@pytest.mark.parametrize("name", ["a b", "", "../x", "x" * 300])
def test_what_is_no_name_is_refused(made, name):
    refused = made("issue", name, ok=False)
    assert isinstance(refused.exception, UsageError)
    assert len(list(made.folder.glob("*.key"))) == 2


def test_renewing_keeps_the_key_unless_told(made):
    before = load(made.folder / "server.pem")
    key = (made.folder / "server.key").read_bytes()
    made("renew", "server", "--days", "40d")
    after = load(made.folder / "server.pem")
    assert after.serial_number != before.serial_number
    assert after.not_valid_after_utc < datetime.now(UTC) + timedelta(days=41)
    assert (made.folder / "server.key").read_bytes() == key
    made("renew", "server", "--new-key")
    assert (made.folder / "server.key").read_bytes() != key
    assert "ok" in made("check", made.folder / "server.pem").output


def test_renew_before_takes_only_what_is_due_and_runs_the_hook_once(made):
    made("issue", "short.example.com", "--days", "5d")
    hook = f'printf "%s" "$KAMTOOL_RENEWED" >> {made.folder}/hook'
    made("renew", "--all", "--before", "30d", "--hook", hook)
    assert (made.folder / "hook").read_text() == str(made.folder / "short.example.com.pem")
    made("renew", "--all", "--before", "1d", "--hook", hook)
    assert (made.folder / "hook").read_text() == str(made.folder / "short.example.com.pem")
    failed = made("renew", "--all", "--hook", "exit 3", ok=False)
    assert isinstance(failed.exception, UsageError)


def test_needs_renewal_leaves_with_10(made):
    assert made("needs-renewal", "--before", "30d").exit_code == 0
    due = made("needs-renewal", "--before", "91d", "-o", "json", ok=False)
    assert due.exit_code == 10
    assert [row["name"] for row in rows(due)] == ["server"]


def test_revoking_puts_the_certificate_into_the_list(made):
    made("issue", "--user", "alice", "example.com")
    serial = load(made.folder / "alice@example.com.pem").serial_number
    made("revoke", "alice", "--yes")
    crl = x509.load_pem_x509_crl((made.folder / "crl.pem").read_bytes())
    assert crl.get_revoked_certificate_by_serial_number(serial) is not None
    assert [row["name"] for row in rows(made("list", "-o", "json"))] == ["server"]
    assert "revoked" in [row["state"] for row in rows(made("list", "--revoked", "-o", "json"))]


def test_exports_open_with_their_password(made):
    target = made.folder / "phone.p12"
    made("export", "server", "--p12", "--to", target, env={"KAMTOOL_PASSWORD": "pw"})
    key, certificate, others = pkcs12.load_key_and_certificates(target.read_bytes(), b"pw")
    assert certificate.serial_number == load(made.folder / "server.pem").serial_number
    assert key.public_key() == certificate.public_key()
    assert len(others) == 1
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert isinstance(made("export", "server", "--to", target, ok=False).exception, UsageError)
    made("export", "--ca", "--to", made.folder / "roots.pem")
    assert (made.folder / "roots.pem").read_bytes() == (made.folder / "ca.pem").read_bytes()


def verdicts(done):
    return {row["what"]: row["verdict"] for row in rows(done)}


def test_check_of_a_file(made):
    good = made("check", made.folder / "server.pem", "--name", "sip.example.com", "-o", "json")
    assert set(verdicts(good).values()) == {"ok"}
    other = made("check", made.folder / "server.pem", "--name", "x.example.com", "-o", "json", ok=False)
    assert (other.exit_code, verdicts(other)["name"]) == (1, "failed")
    wrong = made("check", made.folder / "server.pem", "--key", made.folder / "ca.key", "-o", "json", ok=False)
    assert (wrong.exit_code, verdicts(wrong)["key match"]) == (1, "failed")
    made("renew", "server", "--days", "5d")
    soon = made("check", made.folder / "server.pem", "-o", "json", ok=False)
    assert (soon.exit_code, verdicts(soon)["dates"]) == (10, "attention")
    (made.folder / "server.key").chmod(0o644)
    assert (
        verdicts(made("check", made.folder / "server.pem", "-o", "json", ok=False))["key match"]
        == "attention"
    )


def test_check_of_a_tls_cfg_names_the_line(made):
    cfg = made.folder / "tls.cfg"
    assert made("check", cfg).exit_code == 0
    cfg.write_text(cfg.read_text() + "\n[server:any]\nflavour = sweet\n")
    bad = made("check", cfg, "-o", "json", ok=False)
    assert bad.exit_code == 1
    assert rows(bad)[0]["what"] == f"{cfg}:{len(cfg.read_text().splitlines())}"


@pytest.mark.live
async def test_check_of_a_server(tls_server, authority, tls, monkeypatch):
    import asyncio

    from tests.support.server import port_of

    port = port_of(await tls_server("request_route { exit; }"), "tls")

    def check(*words):
        return tls("check", *words, "-o", "json", ok=False)

    good = await asyncio.to_thread(check, f"127.0.0.1:{port}", "--ca", authority.certificate_file)
    assert good.exit_code == 0, good.output
    assert verdicts(good)["chain"] == verdicts(good)["name"] == "ok"
    strange = await asyncio.to_thread(check, f"127.0.0.1:{port}")
    assert (strange.exit_code, verdicts(strange)["chain"]) == (1, "failed")
    other = await asyncio.to_thread(
        check, f"127.0.0.1:{port}", "--ca", authority.certificate_file, "--name", "other.example.com"
    )
    assert (other.exit_code, verdicts(other)["name"]) == (1, "failed")


def test_a_server_that_is_not_there_is_unreachable(tls, free_port):
    refused = tls("check", f"127.0.0.1:{free_port()}", ok=False)
    assert refused.exception.exit_code == 5


def test_inspect_shows_every_certificate_of_a_file(made):
    both = made.folder / "both.pem"
    both.write_bytes((made.folder / "server.pem").read_bytes() + (made.folder / "ca.pem").read_bytes())
    found = rows(made("inspect", both, "-o", "json"))
    assert [row["authority"] for row in found] == [False, True]
    assert "uri:sip:sip.example.com" in found[0]["names"]
