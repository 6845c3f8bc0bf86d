"""The parameters of registrar."""

from __future__ import annotations

from kamtool.module import Param


class Parameters:
    """`modparam("registrar", …)`."""

    live: tuple[str, ...] = (
        "default_expires", "min_expires", "max_expires", "max_contacts", "default_q", "append_branches",
        "retry_after", "method_filtering", "contact_max_size", "use_expired_contacts", "lookup_filter_mode",
        "path_mode", "path_use_received", "path_check_local", "xavp_rcd", "xavp_rcd_mask",
    )  # fmt: skip

    default_expires = Param(3600, "seconds that a contact lives when its REGISTER does not say")
    default_expires_range = Param(0, "percent by which `default_expires` is shortened at random, at most")
    expires_range = Param(0, "percent by which an expiry that was asked for is shortened at random, at most")
    min_expires = Param(60, "the least expiry in seconds, 0 for any")
    min_expires_mode = Param(0, "below `min_expires`: 0 raise it, 1 answer 423")
    max_expires = Param(0, "the largest expiry in seconds, 0 for any")
    default_q = Param(0, "the q of contacts that give none, in thousandths; 0 leaves it unset")
    append_branches = Param(1, "0: lookup() takes the best contact alone")
    case_sensitive = Param(0, "1: users `Alice` and `alice` differ")
    realm_prefix = Param(
        "", "a prefix that is taken off domains: with `sip.`, sip.example.com is example.com"
    )
    received_param = Param("received", "the Contact parameter of the 200 that shows where a phone was seen")
    received_avp = Param("", "the AVP with the URI a REGISTER came from, set by fix_nated_register()")
    max_contacts = Param(0, "how many contacts a user may have, 0 for any number")
    retry_after = Param(0, "seconds in the Retry-After of a 5xx, 0 for none")
    sock_flag = Param(-1, "the message flag that says: take the socket from `sock_hdr_name`")
    sock_hdr_name = Param("", "the header that names the socket where a REGISTER first arrived")
    sock_mode = Param(0, "1: keep the advertised address of the socket, not the bound one")
    method_filtering = Param(0, "1: lookup() passes over contacts whose Allow lacks the method")
    use_path = Param(0, "1: keep Path (RFC 3327) and send requests along it")
    path_mode = Param(
        2, "0 keep Path silently; 1 return it to who supports it; 2 answer 420 to who does not support it"
    )
    path_use_received = Param(0, "1: the first Path's `received` is where the phone is")
    path_check_local = Param(0, "1: lookup() leaves out a first Path that is this server")
    xavp_cfg = Param(
        "", "the XAVP that overrides parameters for one REGISTER: max_contacts, expires, q, socket"
    )
    xavp_rcd = Param("", "the XAVP that lookup() fills with ruid, contact, expires, received, path")
    xavp_rcd_mask = Param(0, "what `xavp_rcd` leaves out: 1 ruid, 2 contact, 4 expires, 8 received, 16 path")
    gruu_enabled = Param(1, "0: ignore +sip.instance and GRUU (RFC 5627)")
    outbound_mode = Param(0, "RFC 5626: 0 not supported, 1 supported, 2 required")
    regid_mode = Param(0, "accepted: reg-id is always kept where there is a +sip.instance")
    flow_timer = Param(0, "seconds for Flow-Timer in a 200 with outbound, 0 for none")
    contact_max_size = Param(512, "the longest Contact URI that is accepted, 0 for any")
    use_expired_contacts = Param(0, "1: lookup() finds contacts that have expired too, until they are swept")
    aor_avp = Param(
        "", "the AVP with the URI that save(), lookup() and the others take when they are given none"
    )
    lookup_filter_mode = Param(
        0, "1: lookup() keeps only contacts with a branch flag of `xavp_cfg`'s rlf_bflags"
    )
    reg_callid_avp = Param("", "the AVP with the Call-ID that registered() asks for")
    event_callback = Param("", "only empty: there is no KEMI, event_route[usrloc:contact-expired] is run")
