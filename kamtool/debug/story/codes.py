"""What return codes mean, in a few words: the functions whose failures people ask about."""

from __future__ import annotations

_CREDENTIALS = {
    -1: "the credentials are malformed or forged", -2: "the password is wrong", -3: "there is no such user",
    -4: "the nonce has expired", -5: "there are no credentials for this realm", -6: "the nonce was used",
    -8: "the user of the credentials is not the user of the message",
}  # fmt: skip
_MEANINGS: dict[str, dict[int, str]] = {
    **dict.fromkeys(
        ("auth_check", "www_authenticate", "proxy_authenticate", "www_authorize", "proxy_authorize",
         "pv_www_authenticate", "pv_proxy_authenticate", "pv_auth_check"),
        _CREDENTIALS,
    ),
    "lookup": {
        -1: "nobody is registered there", -2: "no contact takes this method", -3: "the location failed",
    },
    "registered": {-1: "nobody is registered there"},
    "save": {-1: "the registration was refused"},
    "mf_process_maxfwd_header": {-1: "Max-Forwards is used up", -2: "Max-Forwards is malformed"},
    "is_maxfwd_lt": {1: "Max-Forwards is below the limit"},
    "pike_check_req": {-1: "the source sent too much", -2: "the source sends too much, and did before"},
    "allow_source_address": {-1: "the source is not in the address table"},
    "allow_address": {-1: "the address is not in the address table"},
    "allow_trusted": {-1: "the source is not trusted"},
    "allow_routing": {-1: "the permission files deny it"},
    "allow_register": {-1: "the permission files deny it"},
    "sanity_check": {-1: "the message is malformed", 0: "the message is malformed, and was answered"},
    "t_relay": {-1: "it could not be sent on", -478: "its name leads nowhere", -477: "it could not be sent"},
    "forward": {-1: "it could not be sent on"},
    "loose_route": {-1: "the Route header does not name this server"},
    "t_check_trans": {-1: "no transaction fits"},
    "has_totag": {-1: "it is outside of any dialog", 1: "it is within a dialog"},
    "ds_select_dst": {-1: "no destination is up"},
    "ds_next_dst": {-1: "no destination is left"},
    "t_check_status": {1: "the answer has that status", -1: "the answer has another status"},
    "check_user_blocklist": {-1: "the number is blocked"},
    "check_user_allowlist": {-1: "the number is not allowed"},
    "pl_check": {-1: "the pipe is full"},
    "rl_check": {-1: "the limit is reached"},
    "is_user_in": {-1: "the user is not in that group"},
    "is_domain_local": {-1: "the domain is not one of ours"},
    "is_uri_host_local": {-1: "the domain is not one of ours"},
    "is_from_local": {-1: "the caller's domain is not one of ours"},
    "check_to": {-1: "the To user is not the authenticated one"},
    "check_from": {-1: "the From user is not the authenticated one"},
    "alias_db_lookup": {-1: "there is no such alias"},
    "sd_lookup": {-1: "there is no such speed dial"},
}  # fmt: skip


def meaning(function: str, code: int) -> str:
    """A few words, "" where the code says it all."""
    return _MEANINGS.get(function, {}).get(code, "")
