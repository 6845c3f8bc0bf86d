"""Transactions: see `Tm`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from kamtool.module import Host, Module, Param
from kamtool.modules.tm.arming import Arming
from kamtool.modules.tm.asking import Asking
from kamtool.modules.tm.contacts import Contacts
from kamtool.modules.tm.control import Control
from kamtool.modules.tm.entering import Entering
from kamtool.modules.tm.relaying import Relaying
from kamtool.modules.tm.replying import Replying
from kamtool.modules.tm.requesting import Requesting
from kamtool.modules.tm.suspending import Suspending
from kamtool.server.transaction import Settings
from kamtool.sip.transaction import PROXY_CLIENT_ROWS, STEADY_CLIENT_ROWS

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger(__name__)


class Tm(Relaying, Replying, Requesting, Arming, Asking, Contacts, Control, Module):
    """Stateful processing: retransmissions, parallel and serial forking, timers, CANCEL, failure routes.

    Timers are those of RFC 3261 table 4. Where a parameter names one, it is said which.
    """

    events = ("tm:local-request", "tm:local-response", "tm:branch-failure:*")
    live = (
        "fr_timer", "fr_inv_timer", "wt_timer", "retr_timer1", "retr_timer2", "max_inv_lifetime",
        "max_noninv_lifetime", "auto_inv_100", "auto_inv_100_reason", "aggregate_challenges",
        "unmatched_cancel", "default_code", "default_reason", "ac_extra_hdrs", "cancel_b_method",
        "on_sl_reply", "disable_6xx_block", "noisy_ctimer", "faked_reply_prio",
        "failure_exec_mode", "relay_100", "restart_fr_on_each_reply", "local_ack_mode", "rich_redirect",
        "failure_reply_mode", "local_cancel_reason",
        "e2e_cancel_reason", "remap_503_500",
    )  # fmt: skip

    fr_timer = Param(30_000, "ms to wait for a final response, and for the ACK of one (timers B, F, H)")
    fr_inv_timer = Param(120_000, "ms to wait for a final response once a provisional one has come (timer C)")
    wt_timer = Param(
        0,
        "ms that a finished transaction absorbs retransmissions (D, I, J, K, L, M). 0: as RFC 3261 says, "
        "T4 for I and K, 64*T1 for the others; Kamailio has 5000",
    )
    delete_timer = Param(200, "ignored: a transaction is freed when its last timer has fired")
    retr_timer1 = Param(500, "T1 in ms: the first interval of retransmissions")
    retr_timer2 = Param(
        4000, "T2 in ms: the longest interval, but of INVITE, whose interval doubles to the end"
    )
    max_inv_lifetime = Param(
        180_000, "ms that a branch of an INVITE may wait for its final response, at most"
    )
    max_noninv_lifetime = Param(32_000, "ms that any other branch may wait for its final response, at most")
    noisy_ctimer = Param(
        1,
        "0: an INVITE whose only branch never answered ends without a word, unless a failure_route waits",
    )
    ruri_matching = Param(1, "ignored: without the magic cookie all of RFC 2543's rules apply")
    via1_matching = Param(1, "ignored: without the magic cookie all of RFC 2543's rules apply")
    auto_inv_100 = Param(1, "answer an INVITE with 100 as it is relayed")
    auto_inv_100_reason = Param("trying -- your call is important to us", "the reason phrase of that 100")
    unix_tx_timeout = Param(500, "ignored: t_write_unix does not wait")
    restart_fr_on_each_reply = Param(
        1,
        "every provisional response restarts timer C (§16.7); 0: only one above 179 and above the last",
    )
    fr_timer_avp = Param("", "an AVP that holds fr_timer in seconds for its transaction")
    fr_inv_timer_avp = Param("", "an AVP that holds fr_inv_timer in seconds for its transaction")
    tw_append = Param(
        "", "`name:header[;…]`: what t_write_unix and t_write_req add to the request", repeat=True
    )
    pass_provisional_replies = Param(0, "ignored: who watches a transaction hears of all its replies")
    aggregate_challenges = Param(1, "gather the challenges of all branches in the 401 or 407 that goes on")
    unmatched_cancel = Param(
        0, "a CANCEL whose INVITE is not known: 0 relayed, 1 forwarded stateless, 2 dropped"
    )
    default_code = Param(500, "the status of a reply that names none")
    default_reason = Param("Server Internal Error", "the reason phrase of a reply that names none")
    reparse_invite = Param(1, "ignored: CANCEL and ACK are always made of the INVITE as it was sent")
    ac_extra_hdrs = Param("", "headers whose name begins so are copied from the INVITE to CANCEL and ACK")
    blst_503 = Param(
        0, "1: who answers 503 goes on the destination blocklist for as long as Retry-After says"
    )
    blst_503_def_timeout = Param(0, "seconds for a 503 without Retry-After; 0: it puts nobody on the list")
    blst_503_min_timeout = Param(0, "the least that Retry-After can mean, in seconds")
    blst_503_max_timeout = Param(3600, "the most that Retry-After can mean, in seconds")
    blst_methods_add = Param(
        1, "methods that put a place on the blocklist when they time out: INVITE 1, CANCEL 2, ACK 4, BYE 8 …"
    )
    blst_methods_lookup = Param(-9, "methods that do not go to a place on the blocklist: all but BYE")
    cancel_b_method = Param(
        1,
        "a cancelled branch without any reply: 0 is given up at once, 1 is cancelled when its first reply "
        "comes (RFC 3261 §9.1), 2 is cancelled at once",
    )
    reparse_on_dns_failover = Param(1, "ignored: every branch is made of the request as received")
    on_sl_reply = Param("", "the onreply_route for replies that match no transaction", repeat=True)
    contacts_avp = Param("", "an XAVP that holds what t_next_contacts has still to give")
    contact_flows_avp = Param("", "an XAVP that holds what t_next_contact_flow has still to give")
    disable_6xx_block = Param(0, "1: a 6xx does not end the other branches")
    local_ack_mode = Param(
        0,
        "where the ACK for the 2xx to an INVITE of our own goes: 0 by Contact and Record-Route (§13.2.2.4), "
        "1 where the INVITE went, 2 where the 2xx came from",
    )
    failure_reply_mode = Param(
        3,
        "which replies count no more once a failure_route has sent new branches: 0 none, 1 and 3 all, "
        "2 those of the last leg; t_drop_replies says otherwise for one transaction",
    )
    faked_reply_prio = Param(
        0, "added to the rank of a reply made here (408); a class is 1000, and the lower rank wins"
    )
    local_cancel_reason = Param(1, "say in CANCEL why we cancel (RFC 3326): `Reason: SIP;cause=200`")
    e2e_cancel_reason = Param(1, "copy the Reason of a received CANCEL to the CANCELs that follow from it")
    remap_503_500 = Param(1, "send on a 503 as 500 (RFC 3261 §16.7 step 6); 0 leaves it")
    xavp_contact = Param("", "ignored: a contact keeps its attributes in usrloc alone")
    failure_exec_mode = Param(
        0, "1: a t_relay that could send nothing is true, and its failure_route runs after the route"
    )
    dns_reuse_rcv_socket = Param(0, "ignored: the receiving socket is used where it fits")
    event_callback = Param("", "ignored: there is no KEMI; event_route[tm:local-request] runs")
    event_callback_lres_sent = Param("", "ignored: there is no KEMI; event_route[tm:local-response] runs")
    callid_matching = Param(
        0, "ignored: a retransmission is known by its branch, without the cookie by its headers"
    )
    callid_cseq_matching = Param(0, "ignored: a response is known by our branch, which cannot be guessed")
    reply_relay_mode = Param(1, "ignored: each 2xx of a branch goes on by its own transaction")
    enable_uac_fr = Param(0, "ignored: a request of our own has no failure_route")
    exec_time_check = Param(5000, "ignored: no lock is held while a failure_route runs")
    relay_100 = Param(0, "1: forward a 100 too, against §16.7 step 5")
    rich_redirect = Param(0, "1: the branch flags, 2: the path, in the Contacts of a 3xx made here")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.suspending = Suspending(cast("Server", server))
        transactions, relay = getattr(server, "transactions", None), getattr(server, "relay", None)
        if transactions is not None:
            # A cfg calls what is compiled without a method in between.
            self.__dict__["t_check_trans"] = transactions.check
        if relay is not None:
            from kamtool.server.relay import Relay  # a check has none, and need not load sockets

            if isinstance(relay, Relay):
                self.__dict__["t_relay_at_once"] = Entering(relay, relay.transactions).at_once

    async def start(self) -> None:
        self._apply()
        server = cast("Server", self.server)
        if self.fr_timer_avp or self.fr_inv_timer_avp:
            server.relay.timer_variables = (
                server.variable(self.fr_timer_avp) if self.fr_timer_avp else None,
                server.variable(self.fr_inv_timer_avp) if self.fr_inv_timer_avp else None,
            )

    def reload(self, program: Any, changed: Mapping[str, Any]) -> Callable[[], None] | None:
        """Timers and the like are for transactions that begin from now on."""

        def apply() -> None:
            self.given.update(changed)
            self._apply()

        return apply if changed else None

    def _apply(self) -> None:
        server = cast("Server", self.server)
        options = server.options
        seconds = 1 / 1000
        set_by_cfg = "retr_timer1" in self.given
        server.transactions.settings = Settings(
            t1=self.retr_timer1 * seconds if set_by_cfg else options.t1,
            t2=self.retr_timer2 * seconds if "retr_timer2" in self.given else options.t2,
            t4=options.t4,
            fr=self.fr_timer * seconds,
            fr_inv=self.fr_inv_timer * seconds,
            wait=self.wt_timer * seconds,
            max_inv=self.max_inv_lifetime * seconds,
            max_noninv=self.max_noninv_lifetime * seconds,
        )
        if server.blocklist is not None:
            limits = self.blst_503_def_timeout, self.blst_503_min_timeout, self.blst_503_max_timeout
            server.blocklist.busy = limits if self.blst_503 else None
            server.blocklist.methods_add = self.blst_methods_add
            server.blocklist.methods_lookup = self.blst_methods_lookup
        relay, responses = server.relay, server.responses
        relay.auto_100, relay.reason_100 = bool(self.auto_inv_100), self.auto_inv_100_reason
        relay.unmatched_cancel, relay.cancel_unreplied = self.unmatched_cancel, self.cancel_b_method
        relay.local_reason, relay.e2e_reason = bool(self.local_cancel_reason), bool(self.e2e_cancel_reason)
        relay.failure_exec = bool(self.failure_exec_mode)
        responses.failure_reply_mode = self.failure_reply_mode if 0 <= self.failure_reply_mode <= 3 else 3
        responses.faked_reply_prio, responses.relay_100 = self.faked_reply_prio, bool(self.relay_100)
        responses.noisy = bool(self.noisy_ctimer)
        server.replies.rich_redirect["tm"] = self.rich_redirect
        server.uac.ack_mode = self.local_ack_mode
        steady = not self.restart_fr_on_each_reply
        server.transactions.invite_rows = STEADY_CLIENT_ROWS if steady else PROXY_CLIENT_ROWS
        relay.extra_headers = self.ac_extra_hdrs
        relay.max_branches = int(server.setting("max_branches", 12))
        responses.aggregate_challenges = bool(self.aggregate_challenges)
        responses.disable_6xx = bool(self.disable_6xx_block)
        responses.remap_503 = bool(self.remap_503_500)
        responses.on_sl_reply = self.on_sl_reply[-1] if self.on_sl_reply else ""

    @property
    def given(self) -> set[str]:
        """The parameters that the cfg set."""
        names: set[str] = self.__dict__.setdefault("_given", set())
        return names

    def set_param(self, name: str, value: int | str) -> None:
        """Set a parameter, and remember that the cfg did."""
        self.given.add(name)
        super().set_param(name, value)
