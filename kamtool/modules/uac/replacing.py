"""uac_replace_from, uac_replace_to, and how later requests of the dialog are kept in step."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import ParseError
from kamtool.module import BRANCH_ROUTE, REQUEST_ROUTE, Host, Variable, function
from kamtool.modules.uac.headers import Name, changed, replace
from kamtool.modules.uac.hiding import hide, reveal
from kamtool.sip.uri import parse_uri

if TYPE_CHECKING:
    from kamtool.modules.dialog import DialogModule
    from kamtool.modules.dialog.state import Dialog
    from kamtool.modules.rr import Rr
    from kamtool.script.context import Context

log = logging.getLogger("kamtool.modules.uac")

DONE = "uac.replaced"
_KEYS: dict[Name, tuple[str, str]] = {"From": ("_uac_fu", "_uac_funew"), "To": ("_uac_to", "_uac_tonew")}


class Replacing:
    """What a cfg may do to From and To."""

    server: Host
    rr_from_store_param: str
    rr_to_store_param: str
    restore_mode: str
    restore_passwd: str
    restore_dlg: int
    originals: dict[Name, Variable]

    @function("uac_replace_from", routes=REQUEST_ROUTE | BRANCH_ROUTE)
    def uac_replace_from(self, ctx: Context, display: str, uri: str | None = None) -> bool:
        """`(uri)`, or `(display, uri)`: another From. An empty display takes the name away, an empty URI
        stays.

        In an INVITE with record_route() what follows in the dialog is kept in step (restore_mode `auto`).
        """
        return self._replace(ctx, "From", *_arguments(display, uri))

    @function("uac_replace_to", routes=REQUEST_ROUTE | BRANCH_ROUTE)
    def uac_replace_to(self, ctx: Context, display: str, uri: str | None = None) -> bool:
        """`(uri)`, or `(display, uri)`: another To, as uac_replace_from."""
        return self._replace(ctx, "To", *_arguments(display, uri))

    def _replace(self, ctx: Context, name: Name, display: str | None, uri: str) -> bool:
        done = ctx.scratch.setdefault(DONE, set())
        if name in done:
            log.error("uac_replace_%s was called for this request already", name.lower())
            return False
        known = ctx.msg.header(name) or ""
        original = (ctx.msg.from_ if name == "From" else ctx.msg.to).uri
        try:
            if uri:
                parse_uri(uri)
            value = changed(known, uri or original, display)
        except ParseError as error:
            log.error("uac_replace_%s: %s", name.lower(), error)
            return False
        ctx.scratch[DONE] = {*done, name}
        replace(ctx, name, value)
        if uri and uri != original and self.restore_mode != "none":
            self._remember(ctx, name, original, uri)
        return True

    def _remember(self, ctx: Context, name: Name, original: str, uri: str) -> None:
        variable = self.originals.get(name)
        if variable is not None:
            variable.set(ctx, original)
        if self.restore_mode != "auto" or ctx.msg.to_tag:
            return
        dialogs = self._dialogs
        dialog = dialogs.of(ctx) if dialogs is not None and self.restore_dlg else None
        if dialogs is not None and dialog is not None:
            for key, text in zip(_KEYS[name], (original, uri), strict=True):
                dialogs.set_variable(dialog, key, text)
            return
        param = self.rr_from_store_param if name == "From" else self.rr_to_store_param
        rr = cast("Rr", self.server.modules["rr"])
        rr.add_rr_param(ctx, f";{param}={hide(original, uri, self.restore_passwd)}")

    @property
    def _dialogs(self) -> DialogModule | None:
        found: Any = self.server.modules.get("dialog")
        return cast("DialogModule | None", found)

    @function("uac_restore_from", routes=REQUEST_ROUTE)
    def uac_restore_from(self, ctx: Context) -> bool:
        """Give a request in the dialog the From URI that belongs to its direction; false without one."""
        return (
            self._step(ctx, "From", "From") if not self._is_upstream(ctx) else self._step(ctx, "From", "To")
        )

    @function("uac_restore_to", routes=REQUEST_ROUTE)
    def uac_restore_to(self, ctx: Context) -> bool:
        """The same for To."""
        return self._step(ctx, "To", "To") if not self._is_upstream(ctx) else self._step(ctx, "To", "From")

    def _is_upstream(self, ctx: Context) -> bool:
        rr: Any = self.server.modules.get("rr")
        return rr is not None and bool(rr.is_direction(ctx, "upstream"))

    def routed(self, ctx: Context, code: int) -> int:
        """loose_route followed a Route of ours: keep a request of the dialog in step."""
        params = ctx.route_params or ""
        for name, stored in (("From", self.rr_from_store_param), ("To", self.rr_to_store_param)):
            if f";{stored}=" in params:
                upstream = self._is_upstream(ctx)
                header: Name = "To" if (name == "From") is upstream else "From"
                self._step(ctx, header, cast("Name", name))
        return code

    def _step(self, ctx: Context, header: Name, opening: Name) -> bool:
        """Give `header` the other URI of the pair that the first request's header `opening` had."""
        done = ctx.scratch.setdefault(DONE, set())
        if header in done:
            return True
        params = ctx.route_params or ""
        param = self.rr_from_store_param if opening == "From" else self.rr_to_store_param
        at = params.find(f";{param}=")
        if at < 0:
            return False
        hidden = params[at + len(param) + 2 :].partition(";")[0]
        here = ctx.msg.from_ if header == "From" else ctx.msg.to
        try:
            uri = reveal(hidden, here.uri, self.restore_passwd)
            value = changed(ctx.msg.header(header) or "", uri)
        except ParseError as error:
            log.error("%s: %s", ctx.msg.call_id, error)
            return False
        ctx.scratch[DONE] = {*done, header}
        replace(ctx, header, value)
        return True

    def within(self, dialog: Dialog, ctx: Context) -> None:
        """A request in a dialog that remembers what was replaced."""
        from kamtool.modules.dialog.base import SIDE

        upstream = ctx.scratch.get(SIDE) == "callee"
        for opening, (old, new) in _KEYS.items():
            original, shown = dialog.variables.get(old), dialog.variables.get(new)
            if original is None or shown is None:
                continue
            header: Name = ("To" if opening == "From" else "From") if upstream else opening
            done = ctx.scratch.setdefault(DONE, set())
            if header in done:
                continue
            ctx.scratch[DONE] = {*done, header}
            replace(ctx, header, changed(ctx.msg.header(header) or "", original if upstream else shown))


def _arguments(display: str, uri: str | None) -> tuple[str | None, str]:
    return (None, display) if uri is None else (display, uri)
