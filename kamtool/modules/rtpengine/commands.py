"""rtpengine: the commands about a call that carry no SDP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamtool.module import ANY, function

if TYPE_CHECKING:
    from kamtool.script.context import Context

Reply = dict[str, Any]


class Commands:
    """Each sends one command for the call of the message; the flags are those of rtpengine_offer."""

    async def _command(self, ctx: Context, command: str, flags: str) -> Reply | None:
        raise NotImplementedError

    async def _done(self, ctx: Context, command: str, flags: str) -> bool:
        return await self._command(ctx, command, flags) is not None

    @function("rtpengine_query", routes=ANY)
    async def rtpengine_query(self, ctx: Context, flags: str = "") -> bool:
        """Have the relay say what it knows of the call; `$rtpestat` and rtpengine_query_v show it."""
        return await self._done(ctx, "query", flags)

    @function("start_recording", routes=ANY)
    async def start_recording(self, ctx: Context, flags: str = "") -> bool:
        """Have the relay record the call."""
        return await self._done(ctx, "start recording", flags)

    @function("stop_recording", routes=ANY)
    async def stop_recording(self, ctx: Context, flags: str = "") -> bool:
        """Stop the recording."""
        return await self._done(ctx, "stop recording", flags)

    @function("block_media", routes=ANY)
    async def block_media(self, ctx: Context, flags: str = "") -> bool:
        """Stop the call's media; `from-tag=…` or `directional` those of one side."""
        return await self._done(ctx, "block media", flags)

    @function("unblock_media", routes=ANY)
    async def unblock_media(self, ctx: Context, flags: str = "") -> bool:
        """Let the media through again."""
        return await self._done(ctx, "unblock media", flags)

    @function("silence_media", routes=ANY)
    async def silence_media(self, ctx: Context, flags: str = "") -> bool:
        """Replace the call's media by silence."""
        return await self._done(ctx, "silence media", flags)

    @function("unsilence_media", routes=ANY)
    async def unsilence_media(self, ctx: Context, flags: str = "") -> bool:
        """Let the media be heard again."""
        return await self._done(ctx, "unsilence media", flags)

    @function("block_dtmf", routes=ANY)
    async def block_dtmf(self, ctx: Context, flags: str = "") -> bool:
        """Stop the call's DTMF events."""
        return await self._done(ctx, "block DTMF", flags)

    @function("unblock_dtmf", routes=ANY)
    async def unblock_dtmf(self, ctx: Context, flags: str = "") -> bool:
        """Let DTMF events through again."""
        return await self._done(ctx, "unblock DTMF", flags)

    @function("play_media", routes=ANY)
    async def play_media(self, ctx: Context, flags: str) -> bool:
        """Play to the sender of this message: `file=/path.wav`, `blob=…` or `db-id=…`, `repeat-times=3`."""
        return await self._done(ctx, "play media", flags)

    @function("stop_media", routes=ANY)
    async def stop_media(self, ctx: Context, flags: str = "") -> bool:
        """Stop what is played."""
        return await self._done(ctx, "stop media", flags)

    @function("play_dtmf", routes=ANY)
    async def play_dtmf(self, ctx: Context, flags: str) -> bool:
        """Send a DTMF event: `code=5 volume=10 duration=100`."""
        return await self._done(ctx, "play DTMF", flags)

    @function("start_forwarding", routes=ANY)
    async def start_forwarding(self, ctx: Context, flags: str = "") -> bool:
        """Send the media to the recording daemon too."""
        return await self._done(ctx, "start forwarding", flags)

    @function("stop_forwarding", routes=ANY)
    async def stop_forwarding(self, ctx: Context, flags: str = "") -> bool:
        """Stop that."""
        return await self._done(ctx, "stop forwarding", flags)
