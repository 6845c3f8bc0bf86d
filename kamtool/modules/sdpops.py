"""sdpops: see `Sdpops`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from kamtool.module import ANY, Module, Plain, Value, Variable, function, pv
from kamtool.script import edits, sdp_body
from kamtool.script.levels import level_of, python_level
from kamtool.script.values import from_octets, to_int, to_octets
from kamtool.sip.sdp import STATIC_CODECS

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.sdp_body import Body, Line, Section

log = logging.getLogger("kamtool.sdpops")

SOME = 2
NO_BODY = -2
_OF_A_CODEC = ("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:")


class Sdpops(Module):
    """Ask about the SDP of a message and change it: codecs, streams, transports, single lines.

    Codecs are named by payload type (`0,8`) or by encoding name (`PCMU,opus`, any case), many at once. What
    is changed is seen when the message is sent, or after msg_apply_changes(). False without an SDP.
    """

    name = "sdpops"

    # Codecs

    @function("sdp_remove_codecs_by_id", routes=ANY)
    def sdp_remove_codecs_by_id(self, ctx: Context, ids: str, media: str = "") -> bool:
        """Remove payload types from the streams, or from those of one kind (`audio`)."""
        body = sdp_body.read(ctx.msg)
        return body is not None and _remove(ctx, _streams(body, media), set(_list(ids)))

    @function("sdp_remove_codecs_by_name", routes=ANY)
    def sdp_remove_codecs_by_name(self, ctx: Context, names: str, media: str = "") -> bool:
        """The same by encoding names; false when none of them is known."""
        body = sdp_body.read(ctx.msg)
        ids = _ids(body, names) if body is not None else set()
        return body is not None and bool(ids) and _remove(ctx, _streams(body, media), ids)

    @function("sdp_keep_codecs_by_id", routes=ANY)
    def sdp_keep_codecs_by_id(self, ctx: Context, ids: str, media: str = "") -> bool:
        """Remove every payload type but these; name the media, or a stream may be left without any."""
        body = sdp_body.read(ctx.msg)
        return body is not None and _keep(ctx, _streams(body, media), set(_list(ids)))

    @function("sdp_keep_codecs_by_name", routes=ANY)
    def sdp_keep_codecs_by_name(self, ctx: Context, names: str, media: str = "") -> bool:
        """The same by encoding names; false, and nothing changes, when none of them is known."""
        body = sdp_body.read(ctx.msg)
        ids = _ids(body, names) if body is not None else set()
        return body is not None and bool(ids) and _keep(ctx, _streams(body, media), ids)

    @function("sdp_with_codecs_by_id", routes=ANY)
    def sdp_with_codecs_by_id(self, ctx: Context, ids: str) -> int:
        """1 when each stream has all these payload types, 2 when some of it is so, -1 when none is."""
        body = sdp_body.read(ctx.msg)
        return -1 if body is None else _with_codecs(body, _list(ids))

    @function("sdp_with_codecs_by_name", routes=ANY)
    def sdp_with_codecs_by_name(self, ctx: Context, names: str) -> int:
        """The same by encoding names."""
        body = sdp_body.read(ctx.msg)
        return -1 if body is None else _with_codecs(body, _ids(body, names))

    # Streams

    @function("sdp_with_media", routes=ANY)
    def sdp_with_media(self, ctx: Context, media: str) -> bool:
        """True when there is a stream of this kind: `audio`, `video`, `image` …"""
        body = sdp_body.read(ctx.msg)
        return body is not None and bool(_streams(body, media))

    @function("sdp_with_active_media", routes=ANY)
    def sdp_with_active_media(self, ctx: Context, media: str) -> bool:
        """The same for one that is neither refused (port 0) nor inactive."""
        body = sdp_body.read(ctx.msg)
        if body is None:
            return False
        return any(
            stream.words[1:2] != ["0"] and not any(line.text == "a=inactive" for line in stream.lines)
            for stream in _streams(body, media)
        )

    @function("sdp_remove_media", routes=ANY)
    def sdp_remove_media(self, ctx: Context, media: str) -> bool:
        """Remove the streams of this kind; false when there is none."""
        body = sdp_body.read(ctx.msg)
        return body is not None and _remove_streams(ctx, _streams(body, media))

    @function("sdp_with_transport", routes=ANY)
    def sdp_with_transport(self, ctx: Context, transport: str) -> bool:
        """True when a stream has exactly this transport: `RTP/SAVP`."""
        return bool(_by_transport(ctx, lambda own: own == transport))

    @function("sdp_with_transport_like", routes=ANY)
    def sdp_with_transport_like(self, ctx: Context, part: str) -> bool:
        """True when the transport of a stream contains this: `SAVP`."""
        return bool(_by_transport(ctx, lambda own: part in own))

    @function("sdp_remove_transport", routes=ANY)
    def sdp_remove_transport(self, ctx: Context, transport: str) -> bool:
        """Remove the streams with exactly this transport; false when there is none."""
        return _remove_streams(ctx, _by_transport(ctx, lambda own: own == transport))

    @function("sdp_transport", routes=ANY)
    def sdp_transport(self, ctx: Context, variable: Variable) -> bool:
        """Store the transport of the first stream."""
        body = sdp_body.read(ctx.msg)
        if body is None or not body.streams or len(body.streams[0].words) < 3:
            return False
        variable.set(ctx, body.streams[0].words[2])
        return True

    # The whole

    @function("sdp_content", routes=ANY)
    def sdp_content(self, ctx: Context, sloppy: int = 0) -> bool:
        """True when the message has an SDP, alone or as a part of its body."""
        return sdp_body.span(ctx.msg) is not None

    @function("sdp_with_ice", routes=ANY)
    def sdp_with_ice(self, ctx: Context) -> bool:
        """True when the SDP has ICE candidates."""
        body = sdp_body.read(ctx.msg)
        return body is not None and any(line.text.startswith("a=candidate:") for line in body.lines())

    @function("sdp_get_address_family", routes=ANY)
    def sdp_get_address_family(self, ctx: Context) -> int:
        """4 or 6: the family of the session's address, or of its first stream's; -1 when there is none."""
        body = sdp_body.read(ctx.msg)
        hosts = [section.connection for section in body.sections] if body is not None else []
        family = next((host.family for host in hosts if host is not None), "")
        return int(family[2:]) if family else -1

    @function("sdp_get", routes=ANY)
    def sdp_get(self, ctx: Context, variable: Variable) -> int:
        """Store the SDP; -2 without a body."""
        place = sdp_body.span(ctx.msg)
        if place is None:
            return NO_BODY if not ctx.msg.body else -1
        variable.set(ctx, from_octets(ctx.msg.data[slice(*place)]))
        return 1

    @function("sdp_get_line_startswith", routes=ANY)
    def sdp_get_line_startswith(self, ctx: Context, variable: Variable, prefix: str) -> bool:
        """Store the first line that begins with `prefix`: `a=ice-pwd`."""
        body = sdp_body.read(ctx.msg)
        found = next((line for line in body.lines() if line.text.startswith(prefix)), None) if body else None
        if found is None:
            return False
        variable.set(ctx, found.text)
        return True

    @function("sdp_remove_line_by_prefix", routes=ANY)
    def sdp_remove_line_by_prefix(self, ctx: Context, prefix: str, media: str = "") -> bool:
        """Remove every line that begins with `prefix`, or those in the streams of one kind."""
        body = sdp_body.read(ctx.msg)
        if body is None:
            return False
        for section in _streams(body, media) if media else body.sections:
            _remove_lines(ctx, [line for line in section.lines if line.text.startswith(prefix)])
        return True

    @function("sdp_print", routes=ANY)
    def sdp_print(self, ctx: Context, level: Plain) -> bool:
        """Log the SDP, line by line; `level` is a number from -3 to 4 or a name such as L_INFO."""
        place = sdp_body.span(ctx.msg)
        text = from_octets(ctx.msg.data[slice(*place)]) if place is not None else "there is no SDP"
        at = python_level(level_of(level) or 0)
        for line in text.splitlines():
            log.log(at, "%s: %s", ctx.msg.call_id, line)
        return True

    @pv("sdp", setter="set_sdp", inner_required=True, form=r"\s*(body|sess_version)\s*")
    def get_sdp(self, ctx: Context, inner: str) -> Value:
        """`$sdp(body)`: the SDP. `$sdp(sess_version)`: the number in o=; setting -1 adds one to it."""
        place = sdp_body.span(ctx.msg)
        if place is None:
            return None
        if inner.strip() == "body":
            return from_octets(ctx.msg.data[slice(*place)])
        found = _version(ctx)
        return None if found is None else found[0]

    def set_sdp(self, ctx: Context, inner: str, value: Value) -> None:
        if inner.strip() == "body":
            place = sdp_body.span(ctx.msg)
            if place is not None and isinstance(value, str) and value:
                sdp_body.replace(ctx, *place, to_octets(value))
            return
        found = _version(ctx)
        if found is not None and value is not None:
            text, start = found
            number = to_int(value)
            new = str(int(text) + 1) if number == -1 and text.isdigit() else str(value)
            if new.isdigit():
                edits.put(ctx, start, start + len(text), new.encode())


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _streams(body: Body, media: str) -> list[Section]:
    """The streams of this kind, all without one."""
    if not media:
        return body.streams
    return [stream for stream in body.streams if stream.words and stream.words[0].lower() == media.lower()]


def _by_transport(ctx: Context, wanted: Callable[[str], bool]) -> list[Section]:
    body = sdp_body.read(ctx.msg)
    streams = body.streams if body is not None else []
    return [stream for stream in streams if len(stream.words) > 2 and wanted(stream.words[2])]


def _ids(body: Body, names: str) -> set[str]:
    """The payload types of encoding names: the fixed ones of RFC 3551, and what rtpmap lines say."""
    wanted = {name.lower() for name in _list(names)}
    found = {str(number) for number, (name, _) in STATIC_CODECS.items() if name.lower() in wanted}
    for line in body.lines():
        if line.text.startswith("a=rtpmap:"):
            number, _, codec = line.text[9:].partition(" ")
            if codec.strip().partition("/")[0].lower() in wanted:
                found.add(number)
    return found


def _with_codecs(body: Body, ids: Iterable[str]) -> int:
    hits = [number in stream.words[3:] for stream in body.streams for number in ids]
    if not any(hits):
        return -1
    return 1 if all(hits) else SOME


def _keep(ctx: Context, streams: list[Section], ids: set[str]) -> bool:
    for stream in streams:
        _remove(ctx, [stream], {number for number in stream.words[3:] if number not in ids})
    return True


def _remove(ctx: Context, streams: list[Section], ids: set[str]) -> bool:
    for stream in streams:
        media = stream.lines[0]
        at, octets = media.start, to_octets(media.text)
        place = 0
        for number, word in enumerate(octets.split(b" ")):
            if number > 2 and from_octets(word) in ids:
                edits.put(ctx, at + place - 1, at + place + len(word), b"")
            place += len(word) + 1
        marks = tuple(prefix + number for prefix in _OF_A_CODEC for number in ids)
        _remove_lines(ctx, [line for line in stream.lines if line.text.split(" ")[0] in marks])
    return True


def _remove_lines(ctx: Context, lines: list[Line]) -> None:
    for line in lines:
        sdp_body.replace(ctx, line.start, line.stop, b"")


def _remove_streams(ctx: Context, streams: list[Section]) -> bool:
    for stream in streams:
        sdp_body.replace(ctx, stream.lines[0].start, stream.lines[-1].stop, b"")
    return bool(streams)


def _version(ctx: Context) -> tuple[str, int] | None:
    """The session version in o= and where it stands."""
    body = sdp_body.read(ctx.msg)
    for line in body.session.lines if body is not None else ():
        words = line.text.split(" ")
        if line.kind == "o" and len(words) > 3:
            return words[2], line.start + len(to_octets(" ".join(words[:2]))) + 1
    return None
