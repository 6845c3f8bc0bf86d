"""What `kamtool stress` is told of addresses and files: read as meant, or refused in one line."""

import pytest
from click.testing import CliRunner

from kamtool.cli import stress
from kamtool.cli.stress_plan import _local
from kamtool.errors import UsageError
from kamtool.sip.flow import Address
from kamtool.tools.stress.target import host_and_port


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1", ("127.0.0.1", None)), ("127.0.0.1:5070", ("127.0.0.1", 5070)), (":5070", ("", 5070)),
        ("host:", ("host", None)), ("host:0", ("host", 0)), ("::1", ("::1", None)), ("[::1]", ("::1", None)),
        ("[::1]:5070", ("::1", 5070)), ("host:65536", None), ("host:x", None), ("[::1]5070x", None),
        ("host:-1", None), ("host:" + "9" * 5000, None),
    ],
)  # fmt: skip
def test_an_address_and_its_port(text, place):
    assert host_and_port(text) == place


def test_an_own_address_of_ipv6_may_have_a_port():
    assert _local(("[::1]:5070", "::2")) == (Address("::1", 5070), ["::1", "::2"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("options 127.0.0.1:9 --local 127.0.0.1:99999", "no address: '127.0.0.1:99999'"),
        ("options 127.0.0.1:99999", "no target: '127.0.0.1:99999'"),
        ("options [::1]:0", "no target: '[::1]:0'"),
        ("register 127.0.0.1:9 --password-file @latin", "latin cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(words, said, tmp_path):
    (tmp_path / "latin").write_bytes(b"p\xe4ss\n")
    done = CliRunner().invoke(stress.command, words.replace("@", f"{tmp_path}/").split())
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
