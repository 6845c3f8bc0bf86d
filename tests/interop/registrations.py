"""The registration sequences that Kamailio and kamtool are compared on: a user each, by its name."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Register:
    """One REGISTER: the values of its Contact lines, further header lines, its Call-ID and CSeq."""

    contacts: tuple[str, ...]
    headers: tuple[str, ...] = ()
    call: str = "a"
    cseq: int = 0
    """0: one more than the last of this sequence."""


@dataclass(frozen=True)
class Ask:
    """A request for the user: the answer tells where it would have gone."""

    method: str = "OPTIONS"
    uri: str = ""
    """The user part and parameters, `{user}` in it is the user; "" is the user alone."""


@dataclass(frozen=True)
class Sequence:
    variant: str
    steps: tuple[object, ...]
    differs: str = ""
    """Why kamtool's outcome is another on purpose."""


@dataclass
class Variant:
    """Parameters that a server is started with."""

    params: dict[str, str] = field(default_factory=dict)


def on(*contacts, **more):
    headers = more.pop("headers", ())
    return Register(contacts, tuple(headers), **more)


VARIANTS = {
    "plain": "",
    "limits": """
modparam("registrar", "min_expires", 60)
modparam("registrar", "max_expires", 600)
modparam("registrar", "default_expires", 300)
modparam("registrar", "max_contacts", 2)
modparam("registrar", "retry_after", 30)
modparam("registrar", "default_q", 300)
""",
    "strict": """
modparam("registrar", "min_expires", 60)
modparam("registrar", "min_expires_mode", 1)
modparam("registrar", "method_filtering", 1)
modparam("registrar", "case_sensitive", 1)
modparam("usrloc", "matching_mode", 1)
""",
    "path": """
modparam("registrar", "use_path", 1)
modparam("registrar", "path_mode", 2)
modparam("registrar", "path_use_received", 1)
modparam("usrloc", "nat_bflag", 6)
""",
    "echo": """
modparam("registrar", "use_path", 1)
modparam("registrar", "path_mode", 1)
modparam("usrloc", "matching_mode", 2)
modparam("usrloc", "desc_time_order", 1)
""",
    "outbound": """
modparam("registrar", "use_path", 1)
modparam("registrar", "path_mode", 1)
modparam("registrar", "outbound_mode", 1)
modparam("registrar", "flow_timer", 25)
modparam("registrar", "regid_mode", 1)
""",
}

A, B, C = "<sip:a@10.0.0.1:5070>", "<sip:b@10.0.0.2;transport=udp>", "<sip:c@10.0.0.3>"
URN = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'
URN2 = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"'
PATH = "Path: <sip:edge.example.com;lr>"
SUPPORTED = "Supported: path"
OUTBOUND = "Supported: path, outbound"

SEQUENCES: dict[str, Sequence] = {
    # What a contact is.
    "one-contact": Sequence("plain", (on(A), Ask())),
    "no-contact-lists": Sequence("plain", (on(A), on())),
    "nobody-lists": Sequence("plain", (on(),)),
    "two-in-one-header": Sequence(
        "plain", (on(f"{A}, {B}"), Ask()), "Kamailio reads one header's contacts from the last to the first"
    ),
    "two-headers": Sequence("plain", (on(A, B), Ask())),
    "added-later": Sequence("plain", (on(A), on(B, call="b"), Ask())),
    "by-q": Sequence("plain", (on(f"{A};q=0.2", f"{B};q=0.9", f"{C};q=0.5"), Ask())),
    "q-changes-the-order": Sequence(
        "plain", (on(f"{A};q=0.9", f"{B};q=0.5"), on(f"{A};q=0.1"), on(), Ask()),
        "Kamailio leaves a contact in its place when its q changes: RFC 3261 §16.6 tries the highest first",
    ),
    "q-of-one": Sequence("plain", (on(f"{A};q=1.0"),)),
    "q-too-large": Sequence("plain", (on(f"{A};q=1.5"),)),
    "without-brackets": Sequence("plain", (on("sip:a@10.0.0.1;expires=120"),)),
    "with-a-name": Sequence("plain", (on('"Alice, A." <sip:a@10.0.0.1>'),)),
    "refreshed": Sequence("plain", (on(A), on(f"{A};expires=700"), on())),
    "the-same-twice": Sequence("plain", (on(A, A),)),
    # How long.
    "expires-header": Sequence("plain", (on(A, headers=("Expires: 120",)),)),
    "parameter-first": Sequence("plain", (on(f"{A};expires=240", headers=("Expires: 120",)),)),
    "removed-by-parameter": Sequence("plain", (on(A, B), on(f"{A};expires=0"), Ask())),
    "removed-by-header": Sequence("plain", (on(A), on(A, headers=("Expires: 0",)), Ask())),
    "removed-and-added": Sequence("plain", (on(A), on(f"{A};expires=0", B))),
    "removed-unknown": Sequence("plain", (on(f"{A};expires=0"),)),
    "too-short": Sequence("limits", (on(f"{A};expires=10"),)),
    "too-long": Sequence("limits", (on(f"{A};expires=86400"),)),
    "by-default": Sequence("limits", (on(A),)),
    "default-q": Sequence("limits", (on(f"{A};q=0.1", B), Ask())),
    "too-short-refused": Sequence("strict", (on(f"{A};expires=10"),)),
    "just-long-enough": Sequence("strict", (on(f"{A};expires=60"),)),
    # All of them.
    "star": Sequence("plain", (on(A, B), on("*", headers=("Expires: 0",)), Ask())),
    "star-without-expires": Sequence("plain", (on(A), on("*"), on())),
    "star-with-others": Sequence("plain", (on(A), on("*", B, headers=("Expires: 0",)), on())),
    "star-of-nobody": Sequence("plain", (on("*", headers=("Expires: 0",)),)),
    # CSeq.
    "lower-cseq": Sequence("plain", (on(A, cseq=10), on(f"{A};expires=100", cseq=5), on(cseq=20))),
    "lower-cseq-other-call": Sequence("plain", (on(A, cseq=10), on(f"{A};expires=100", cseq=5, call="b"))),
    "equal-cseq": Sequence("plain", (on(A, cseq=10), on(A, cseq=10))),
    # How many.
    "too-many": Sequence("limits", (on(A, B), on(C), on())),
    "too-many-at-once": Sequence("limits", (on(A, B, C), on())),
    "as-many-as-may-be": Sequence("limits", (on(A, B), on(f"{A};expires=500"), on(f"{B};expires=0", C))),
    # Which.
    "other-call-other-contact": Sequence("strict", (on(A), on(A, call="b"), on(call="b"))),
    "upper-case-user": Sequence("strict", (on(A), Ask(uri="{USER}"))),
    "methods": Sequence(
        "strict",
        (on(A, headers=("Allow: INVITE, ACK, BYE",)), on(B, call="b", headers=("Allow: OPTIONS",)), Ask(),
         Ask("INFO")),
    ),
    "methods-of-contact": Sequence("strict", (on(f'{A};methods="INVITE,MESSAGE"'), Ask("MESSAGE"), Ask())),
    "newest-first": Sequence("echo", (on(A), on(B, call="b"), on(call="c"))),
    # Path.
    "path": Sequence("path", (on(A, headers=(PATH, SUPPORTED)), Ask())),
    "path-not-supported": Sequence(
        "path", (on(A, headers=(PATH,)), on()), "Kamailio answers 420 and stores the contact all the same"
    ),
    "two-paths": Sequence("path", (on(A, headers=("Path: <sip:one;lr>, <sip:two;lr>", SUPPORTED)), Ask())),
    "path-received": Sequence(
        "path",
        (on(A, headers=("Path: <sip:edge;lr;received=sip:192.0.2.1:5099%3bob>", SUPPORTED)), Ask()),
    ),
    "no-path": Sequence("path", (on(A), Ask())),
    "path-is-echoed": Sequence("echo", (on(A, headers=(PATH, SUPPORTED)),)),
    "path-unsaid-is-kept": Sequence("echo", (on(A, headers=(PATH,)), Ask())),
    "path-tells-contacts-apart": Sequence(
        "echo", (on(A, headers=(PATH, SUPPORTED)), on(A, headers=("Path: <sip:other;lr>", SUPPORTED)), on())
    ),
    # What a hostile phone may send.
    "expiry-of-2-to-40": Sequence("plain", (on(f"{A};expires=1099511627776"), on())),
    "expiry-of-2-to-32": Sequence("plain", (on(f"{A};expires=4294967296"), on())),
    "negative-expiry": Sequence("plain", (on(f"{A};expires=-1"), on())),
    "expiry-of-letters": Sequence("plain", (on(f"{A};expires=abc"), on())),
    "thirty-contacts": Sequence("plain", (on(*(f"<sip:a@10.0.1.{n}>" for n in range(30))), on())),
    "long-contact": Sequence("plain", (on(f"<sip:{'a' * 300}@10.0.0.1>"), on())),
    "contact-of-512": Sequence("plain", (on(f"<sip:{'a' * 499}@10.0.0.1>"), on())),
    "contact-of-513": Sequence("plain", (on(f"<sip:{'a' * 500}@10.0.0.1>"), on())),
    "very-long-contact": Sequence("plain", (on(f"<sip:{'a' * 50000}@10.0.0.1>"), on())),
    "no-uri": Sequence("plain", (on("<nonsense>"), on()), "Kamailio stores what is no URI"),
    "not-sip": Sequence("plain", (on("<mailto:a@example.com>"), on())),
    "telephone": Sequence("plain", (on("<tel:+4930123>"), on(), Ask())),
    "one-good-one-bad": Sequence("plain", (on(A, "<nonsense>"), on()), "Kamailio stores what is no URI"),
    # Instances, GRUU, outbound.
    "instance": Sequence("plain", (on(f"{A};{URN}"), on())),
    "gruu": Sequence("plain", (on(f"{A};{URN}", headers=("Supported: gruu",)),)),
    "public-gruu": Sequence(
        "plain",
        (on(f"{A};{URN}", f"{B};{URN2}", headers=("Supported: gruu",)),
         Ask(uri="{user}@example.com;gr=urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF")),
    ),
    "instance-moves": Sequence("plain", (on(f"{A};{URN};reg-id=1"), on(f"{B};{URN};reg-id=1"), on())),
    "outbound": Sequence("outbound", (on(f"{A};{URN};reg-id=1", headers=(OUTBOUND,)), Ask())),
    "two-flows": Sequence(
        "outbound",
        (on(f"{A};{URN};reg-id=1", headers=(OUTBOUND,)), on(f"{B};{URN};reg-id=2", headers=(OUTBOUND,)),
         on()),
    ),
    "outbound-refused": Sequence("plain", (on(f"{A};{URN};reg-id=1", headers=("Require: outbound",)),)),
    "reg-id-without-instance": Sequence("outbound", (on(f"{A};reg-id=1"), on())),
    "not-outbound": Sequence("outbound", (on(f"{A};{URN}"), Ask())),
}  # fmt: skip
