"""Dialogs through a server that hides one side from the other: what arrives at each, in order."""

import re
import socket
from contextlib import suppress

SILENCE = 8.0
A, B = "<sip:alice@x>;tag=ta", "<sip:bob@x>;tag=tb"


class Side:
    """A phone, or the proxy before it: one UDP socket, and all that it got."""

    def __init__(self, name, seen):
        self.name, self.seen, self.call_id = name, seen, "c"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(SILENCE)
        self.port = self.socket.getsockname()[1]
        self.uri = f"sip:{name}@127.0.0.1:{self.port}"
        self.to = None

    def send(self, text):
        self.socket.sendto(text.replace("\r", "").replace("\n", "\r\n").encode(), self.to)

    def get(self, start):
        """The next message that begins so; a 100 is nobody's concern."""
        while True:
            data = self.socket.recv(65535).decode()
            if f"Call-ID: {self.call_id}\r" not in data:
                continue  # of the play before
            if data.startswith("SIP/2.0 100"):
                continue
            if self.seen and self.seen[-1] == (self.name, data) and not data.startswith(start):
                continue  # a retransmission
            self.seen.append((self.name, data))
            assert data.startswith(start), f"{self.name} wanted {start}, got\n{data}"
            return data


def values(data, name):
    return re.findall(rf"(?mi)^{name}: *(.*?)\r?$", data)


def contact(data):
    return re.search(r"<([^>]*)>", values(data, "Contact")[0])[1]


def routes(data):
    """The route set as its receiver has it, who was asked (§12.1.1)."""
    return [item.strip() for value in values(data, "Record-Route") for item in value.split(",")]


def request(side, method, uri, *, cseq=1, sender=A, to=B, branch=None, route=(), extra=""):
    branch = branch or f"z9hG4bK{side.call_id}{side.name}{cseq}{method}"
    lines = [f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/UDP 127.0.0.1:{side.port};branch={branch}"]
    lines += [f"Route: {item}" for item in route]
    lines += [f"From: {sender}", f"To: {to}", f"Call-ID: {side.call_id}", f"CSeq: {cseq} {method}"]
    return "\n".join([*lines, "Max-Forwards: 70"]) + f"\n{extra}Content-Length: 0\n\n"


def answer(data, status, tag="tb", where="", extra=""):
    lines = [f"SIP/2.0 {status} X"]
    for line in data.replace("\r", "").split("\n\n")[0].split("\n")[1:]:
        name = line.partition(":")[0].lower()
        if name in ("via", "record-route", "from", "call-id", "cseq"):
            lines.append(line)
        if name == "to":
            lines.append(line if "tag=" in line else f"{line};tag={tag}")
    if where:
        lines.append(f"Contact: <{where}>")
    return "\n".join(lines) + f"\n{extra}Content-Length: 0\n\n"


def opening(alice, method="INVITE", extra="", where=True, user="bob"):
    place = f"Contact: <{alice.uri};x=1>\n" if where else ""
    return request(alice, method, f"sip:{user}@127.0.0.1", to="<sip:bob@x>", extra=place + extra)


def call(alice, bob, extra=""):
    """An INVITE, 180, 200 and ACK. Returns the INVITE as bob and the 200 as alice saw them."""
    alice.send(opening(alice))
    invite = bob.get("INVITE")
    bob.send(answer(invite, 180, where=f"{bob.uri};y=1"))
    alice.get("SIP/2.0 180")
    bob.send(answer(invite, 200, where=f"{bob.uri};y=1", extra=extra))
    ok = alice.get("SIP/2.0 200")
    alice.send(request(alice, "ACK", contact(ok), route=routes(ok)[::-1]))
    bob.get("ACK")
    return invite, ok


def again(one, other, known, method, cseq, sender, to, where="", back="", extra=""):
    """One more request in the dialog, and its 200."""
    place = f"Contact: <{where}>\n" if where else ""
    one.send(request(one, method, contact(known), cseq=cseq, sender=sender, to=to, extra=place + extra))
    got = other.get(method)
    other.send(answer(got, 200, where=back, extra=extra))
    one.get("SIP/2.0 200")
    if method == "INVITE":
        one.send(request(one, "ACK", contact(known), cseq=cseq, sender=sender, to=to))
        other.get("ACK")


def a_call_with_reinvites_and_a_bye_of_the_callee(alice, bob):
    invite, ok = call(alice, bob)
    again(alice, bob, ok, "INVITE", 2, A, B, f"{alice.uri};x=2", f"{bob.uri};y=2")
    again(bob, alice, invite, "INVITE", 9, B, A, f"{bob.uri};y=3", f"{alice.uri};x=3")
    again(alice, bob, ok, "UPDATE", 3, A, B, f"{alice.uri};x=4", f"{bob.uri};y=4")
    again(bob, alice, invite, "BYE", 10, B, A)


def a_bye_of_the_caller(alice, bob):
    _, ok = call(alice, bob)
    again(alice, bob, ok, "BYE", 2, A, B)


def proxies_on_both_sides(alice, bob):
    near = "".join(f"Record-Route: <sip:127.0.0.1:{alice.port};lr;p=a{n}>\n" for n in (1, 2))
    far = "".join(f"Record-Route: <sip:127.0.0.1:{bob.port};lr;p=b{n}>\n" for n in (1, 2))
    alice.send(opening(alice, extra=near))
    invite = bob.get("INVITE")
    bob.send(answer(invite, 200, where=bob.uri, extra=far))
    ok = alice.get("SIP/2.0 200")
    alice.send(request(alice, "ACK", contact(ok)))
    bob.get("ACK")
    again(alice, bob, ok, "BYE", 2, A, B)


def two_vias_come_back(alice, bob):
    inner = "Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKinner\n"
    alice.send(opening(alice).replace("From:", f"{inner}From:", 1))
    invite = bob.get("INVITE")
    bob.send(answer(invite, 200, where=bob.uri))
    alice.get("SIP/2.0 200")


def cancelled(alice, bob):
    alice.send(opening(alice))
    invite = bob.get("INVITE")
    bob.send(answer(invite, 180, where=bob.uri))
    alice.get("SIP/2.0 180")
    branch = f"z9hG4bK{alice.call_id}alice1INVITE"
    alice.send(request(alice, "CANCEL", "sip:bob@127.0.0.1", to="<sip:bob@x>", branch=branch))
    alice.get("SIP/2.0 200")
    cancel = bob.get("CANCEL")
    bob.send(answer(cancel, 200))
    bob.send(answer(invite, 487))
    bob.get("ACK")
    alice.get("SIP/2.0 487")


def rejected(alice, bob):
    alice.send(opening(alice))
    invite = bob.get("INVITE")
    bob.send(answer(invite, 486))
    bob.get("ACK")
    alice.get("SIP/2.0 486")


def a_redirection_is_seen(alice, bob):
    alice.send(opening(alice))
    invite = bob.get("INVITE")
    bob.send(answer(invite, 302, where="sip:else@10.7.7.7"))
    bob.get("ACK")
    alice.get("SIP/2.0 302")


def two_ring(alice, bob):
    alice.send(opening(alice))
    invite = bob.get("INVITE")
    for number in (1, 2):
        bob.send(answer(invite, 180, f"tb{number}", f"{bob.uri};y={number}"))
        alice.get("SIP/2.0 180")


def outside_of_dialogs(alice, bob):
    for number, method in enumerate(("OPTIONS", "MESSAGE")):
        alice.send(opening(alice, method, where=not number))
        got = bob.get(method)
        bob.send(answer(got, 200, where="" if number else bob.uri))
        alice.get("SIP/2.0 200")


def a_subscription(alice, bob):
    alice.send(opening(alice, "SUBSCRIBE", "Event: presence\nExpires: 600\n"))
    subscribe = bob.get("SUBSCRIBE")
    again(bob, alice, subscribe, "NOTIFY", 1, B, A, f"{bob.uri};y=1", f"{alice.uri};x=1")  # before the 202
    bob.send(answer(subscribe, 202, where=f"{bob.uri};y=1", extra="Expires: 600\n"))
    accepted = alice.get("SIP/2.0 202")
    again(bob, alice, subscribe, "NOTIFY", 2, B, A, f"{bob.uri};y=1", f"{alice.uri};x=1")
    again(alice, bob, accepted, "SUBSCRIBE", 2, A, B, f"{alice.uri};x=1", f"{bob.uri};y=1", "Expires: 600\n")


def a_dialog_that_nobody_knows(alice, bob):
    alice.send(request(alice, "BYE", "sip:atpsh-6b03e12a-1ff-1@127.0.0.1", cseq=2))
    alice.get("SIP/2.0 404")


def a_dialog_that_was_opened_without_us(alice, bob):
    own = f"<sip:127.0.0.1:{alice.to[1]};lr>"
    place = f"Contact: <{alice.uri}>\n"
    alice.send(request(alice, "INFO", bob.uri, cseq=2, route=[own], extra=place))
    info = bob.get("INFO")
    bob.send(answer(info, 200, where=bob.uri))
    alice.get("SIP/2.0 200")


def an_invite_that_is_lost(alice, bob):
    alice.send(opening(alice))
    bob.get("INVITE")
    invite = bob.get("INVITE")
    bob.send(answer(invite, 200, where=bob.uri))
    bob.send(answer(invite, 200, where=bob.uri))
    alice.get("SIP/2.0 200")
    alice.get("SIP/2.0 200")


PLAYS = {
    play.__name__: play
    for play in (
        a_call_with_reinvites_and_a_bye_of_the_callee, a_bye_of_the_caller, proxies_on_both_sides,
        two_vias_come_back, cancelled, rejected, a_redirection_is_seen, two_ring, outside_of_dialogs,
        a_subscription, a_dialog_that_nobody_knows, a_dialog_that_was_opened_without_us,
        an_invite_that_is_lost,
    )
}  # fmt: skip


def played(server):
    """What both sides saw of every play, made comparable. `server.start(bob's port)` starts one."""
    seen, result = [], {}
    alice, bob = Side("alice", seen), Side("bob", seen)
    try:
        alice.to = bob.to = ("127.0.0.1", server.start(bob.port))
        ports = {alice.port: "ALICE", bob.port: "BOB", alice.to[1]: "SERVER"}
        for name, play in PLAYS.items():
            del seen[:]
            alice.call_id = bob.call_id = name
            with suppress(TimeoutError):
                play(alice, bob)
            result[name] = plain(seen, ports)
    finally:
        alice.socket.close()
        bob.socket.close()
    return result


LEFT_OUT = ("server", "user-agent", "content-length", "max-forwards")


def plain(seen, ports):
    """Messages as lists of lines: no ports, aliases by number, no branches of the server, headers sorted."""
    aliases, result = {}, []
    for name, data in seen:
        head = data.replace("\r", "").split("\n\n")[0]
        for port, word in ports.items():
            head = head.replace(f":{port}", f":{word}").replace(f"={port}", f"={word}")
        head = re.sub(r"[ab]tpsh-[A-Za-z0-9.-]+", lambda m: _alias(m[0], aliases), head)
        head = re.sub(r"(SERVER;branch=)[^;,\s]+", r"\1OURS", head)
        head = re.sub(r"(To: .*;tag=)(?!tb?\d?$|t[ab]\d?$)\S+", r"\1OURS", head)
        first, *lines = head.split("\n")
        lines = [f"{n}: {v.strip()}" for line in lines for n, _, rest in [line.partition(":")]
                 for v in (rest.split(",") if n in ("Via", "Route", "Record-Route") else [rest])
                 if n.lower() not in LEFT_OUT]  # fmt: skip
        first = first if not first.startswith("SIP") else " ".join(first.split()[:2])
        lines = [";".join(sorted(line.split(";"))) if line.startswith("Via") else line for line in lines]
        result.append([name, first, *sorted(lines, key=lambda line: line.partition(":")[0])])
    return result


def _alias(text, aliases):
    return f"{text[0]}tpsh-{aliases.setdefault(text[1:], len(aliases) + 1)}"
