"""Global parameters: which there are, what each takes, and what a cfg set them to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from kamtool.record import Record
from kamtool.script.likely import likely
from kamtool.script.nodes import Alias, Custom, Listen


class Takes(Enum):
    """What may stand right of a global parameter's `=`."""

    NUMBER = "a number"
    STRING = "a string"
    WORD = "a word or a string"
    ANY = "a number, a word or a string"


class Honour(Enum):
    """What becomes of a parameter that is set."""

    FULL = "works as in Kamailio"
    PART = "accepted; what kamtool's own design decides is left to it"
    NONE = "accepted and ignored: it tunes a part that kamtool does not have"
    OLD = "accepted with a warning: Kamailio 5.6 refuses it, files for 3.x have it"


class Parameter(Record):
    """One global parameter."""

    name: str
    takes: Takes
    honour: Honour
    default: int | str = 0


def _rows(takes: Takes, honour: Honour, names: str) -> list[Parameter]:
    default: int | str = 0 if takes in (Takes.NUMBER, Takes.ANY) else ""
    return [Parameter(name, takes, honour, default) for name in names.split()]


_FULL = Honour.FULL
PARAMETERS: dict[str, Parameter] = {
    row.name: row
    for row in [
        Parameter("debug", Takes.NUMBER, _FULL, 0),
        Parameter("log_stderror", Takes.NUMBER, _FULL, 0),
        Parameter("fork", Takes.NUMBER, _FULL, 1),
        Parameter("children", Takes.NUMBER, Honour.PART, 8),
        Parameter("port", Takes.NUMBER, _FULL, 5060),
        Parameter("auto_aliases", Takes.NUMBER, Honour.NONE, 1),
        Parameter("disable_tcp", Takes.NUMBER, _FULL, 0),
        Parameter("enable_tls", Takes.NUMBER, _FULL, 0),
        Parameter("server_header", Takes.STRING, _FULL, ""),
        Parameter("user_agent_header", Takes.STRING, _FULL, ""),
        Parameter("server_signature", Takes.NUMBER, _FULL, 1),
        Parameter("log_prefix", Takes.STRING, _FULL, ""),
        Parameter("log_prefix_mode", Takes.NUMBER, _FULL, 0),
        Parameter("max_while_loops", Takes.NUMBER, _FULL, 100),
        Parameter("max_recursive_level", Takes.NUMBER, _FULL, 256),
        Parameter("max_branches", Takes.NUMBER, _FULL, 12),
        Parameter("tcp_connection_lifetime", Takes.NUMBER, _FULL, 120),
        Parameter("tcp_max_connections", Takes.NUMBER, _FULL, 2048),
        Parameter("tls_max_connections", Takes.NUMBER, _FULL, 2048),
        Parameter("tcp_accept_no_cl", Takes.NUMBER, _FULL, 0),
        Parameter("advertised_port", Takes.NUMBER, _FULL, 0),
        Parameter("server_id", Takes.NUMBER, _FULL, 0),
        Parameter("dns", Takes.NUMBER, Honour.PART, 0),
        Parameter("rev_dns", Takes.NUMBER, Honour.NONE, 0),
        Parameter("mhomed", Takes.NUMBER, _FULL, 0),
        Parameter("udp_mtu", Takes.NUMBER, _FULL, 0),
        Parameter("open_files_limit", Takes.NUMBER, _FULL, 0),
        *_rows(
            Takes.WORD,
            _FULL,
            "advertised_address tcp_source_ipv4 tcp_source_ipv6",
        ),
        *_rows(
            Takes.NUMBER,
            _FULL,
            "tcp_send_timeout tcp_connect_timeout tcp_keepalive tcp_keepcnt tcp_keepidle "
            "tcp_keepintvl tcp_no_connect tcp_accept_aliases tcp_reuse_port tcp_accept_unique "
            "tcp_rd_buf_size tcp_wq_max tcp_conn_wq_max tcp_crlf_ping tcp_linger2 "
            "tcp_delayed_ack tcp_defer_accept tcp_conn_max_requests tls_port_no "
            "tls_handshake_timeout tcp_close_rst tcp_listen_backlog tcp_syncnt tcp_wait_data ",
        ),
        *_rows(
            Takes.NUMBER,
            Honour.NONE,
            "tcp_accept_hep3 tcp_accept_haproxy tcp_clone_rcvbuf tcp_script_mode "
            "tcp_check_timer tcp_fd_cache tcp_wq_blk_size ",
        ),
        *_rows(
            Takes.STRING,
            _FULL,
            "mpath loadpath",
        ),
        *_rows(
            Takes.WORD,
            Honour.PART,
            "log_facility udp_mtu_try_proto",
        ),
        *_rows(
            Takes.STRING,
            Honour.PART,
            "log_name cfgengine",
        ),
        *_rows(
            Takes.NUMBER,
            Honour.PART,
            "add_local_rport tcp_buf_write dns_srv_loadbalancing",
        ),
        *_rows(
            Takes.ANY,
            _FULL,
            "tos xavp_via_params xavp_via_fields",
        ),
        *_rows(
            Takes.NUMBER,
            Honour.NONE,
            "received_route_mode onsend_route_reply async_workers tls_verify tls_require_certificate "
            "tls_send_timeout",
        ),
        *_rows(
            Takes.STRING,
            Honour.NONE,
            "log_engine_type log_engine_data async_workers_group uri_host_extra_chars hdr_name_extra_chars "
            "tls_certificate tls_private_key tls_ca_list",
        ),
        *_rows(
            Takes.WORD,
            Honour.NONE,
            "async_nonblock tls_method rundir run_dir mcast udp4_raw_iface",
        ),
        *_rows(Takes.WORD, Honour.FULL, "user uid group gid chroot workdir wdir"),
        *_rows(
            Takes.STRING,
            Honour.NONE,
            "stats_name_separator version_table phone2tel_prefix",
        ),
        *_rows(
            Takes.NUMBER,
            Honour.NONE,
            "return_mode rpc_exec_delta rpc_exec_locks rpc_exec_locks_mode rt_stimer_prio rt_stimer_policy "
            "rt_ftimer_prio rt_fast_timer_prio rt_ftimer_policy shm_mem tcp_accept_protos "
            "tcp_accept_protocols "
            "tls_log tlslog tls_threads_mode "
            "udp_accept_proxy udp_receiver_mode http_reply_hack memlog mem_log memdbg mem_dbg mem_join "
            "mem_safety mem_summary mem_status_mode mem_add_size "
            "corelog core_log shm_force_alloc shm_mem_size shm mlock_pages real_time rt_prio rt_policy "
            "rt_timer1_prio rt_timer1_policy rt_timer2_prio rt_timer2_policy disable_core_dump "
            "disable_core pv_buffer_size pv_buffer_slots pv_cache_limit "
            "pv_cache_action sql_buffer_size kill_timeout exit_timeout ser_kill_timeout maxbuffer "
            "wait_worker1_mode wait_worker1_time wait_worker1_usleep route_locks_size verbose_startup "
            "modinit_delay fork_delay sip_warning sip_parser_log sip_parser_mode sip_parser_log_oneline "
            "phone2tel latency_cfg_log latency_log latency_limit_db latency_limit_action "
            "latency_limit_cfg msg_time mcast_loopback mcast_ttl ipv6_hex_style "
            "bind_ipv6_link_local "
            "sctp_socket_rcvbuf sctp_socket_receive_buffer sctp_socket_sndbuf "
            "sctp_socket_send_buffer sctp_autoclose sctp_send_ttl sctp_send_retries sctp_assoc_tracking "
            "sctp_assoc_reuse sctp_max_assocs sctp_srto_initial sctp_srto_max sctp_srto_min "
            "sctp_asocmaxrxt sctp_init_max_attempts sctp_init_max_timeo sctp_hbinterval sctp_pathmaxrxt "
            "sctp_sack_delay sctp_sack_freq sctp_max_burst",
        ),
        *_rows(
            Takes.NUMBER,
            _FULL,
            "dns_retr_time dns_retr_no dns_servers_no dns_use_search_list dns_try_ipv6 "
            "dns_try_naptr dns_srv_lb dns_naptr_ignore_rfc dns_cache_init use_dns_cache "
            "use_dns_failover dns_cache_flags dns_cache_negative_ttl dns_cache_min_ttl "
            "dns_cache_max_ttl dns_cache_mem dns_cache_gc_interval dns_cache_del_nonexp "
            "dns_udp_pref dns_tcp_pref dns_tls_pref dns_sctp_pref dns_udp_preference "
            "dns_tcp_preference dns_tls_preference dns_sctp_preference local_rport force_rport "
            "use_dst_blocklist use_dst_blacklist dst_blocklist_init dst_blacklist_init "
            "dst_blocklist_mem dst_blacklist_mem dst_blocklist_expire dst_blacklist_expire "
            "dst_blocklist_gc_interval dst_blacklist_gc_interval dst_blocklist_udp_imask "
            "dst_blacklist_udp_imask dst_blocklist_tcp_imask dst_blacklist_tcp_imask "
            "dst_blocklist_tls_imask dst_blacklist_tls_imask dst_blocklist_sctp_imask "
            "dst_blacklist_sctp_imask udp4_raw udp4_raw_mtu udp4_raw_ttl pmtu_discovery "
            "auto_bind_ipv6 ip_free_bind",
        ),
        *_rows(
            Takes.NUMBER,
            Honour.NONE,
            "tcp_children socket_workers enable_sctp disable_sctp sctp_children reply_to_via "
            "check_via http_reply_parse tcp_async tcp_poll_method tcp_opt_crlf_ping "
            "dns_search_full_match dns_cache_rec_pref dns_reinit tcp_connection_match "
            "async_usleep log_color",
        ),
        *_rows(
            Takes.ANY,
            Honour.OLD,
            "fifo fifo_mode syn_branch loop_checks unix_sock unix_sock_children unix_tx_timeout "
            "fifo_db_url fifo_user fifo_group fifo_dir statistics tls_connection_match_domain fifo_perm "
            "use_fifo tls_verify_client tls_verify_server tls_require_client_certificate",
        ),
    ]
}

ALIASES = {
    "tls_enable": "enable_tls",
    "tcp_buf_write": "tcp_async",
    "udp_workers": "children",
    "mem_log": "memlog",
    "mem_dbg": "memdbg",
    "core_log": "corelog",
    "wdir": "workdir",
    "run_dir": "rundir",
    "loadpath": "mpath",
    "uid": "user",
    "gid": "group",
    "dns_srv_loadbalancing": "dns_srv_lb",
    "add_local_rport": "local_rport",
}

NEGATED = {"disable_tls": "enable_tls", "tls_disable": "enable_tls"}

NAMES = frozenset(PARAMETERS) | frozenset(ALIASES) | frozenset(NEGATED)

QUIRKS = "KAMTOOL_QUIRKS"
"""What a cfg, or -A, defines to have Kamailio's ways also where they break an RFC."""
UNBUILT = ("sctp",)
"""Transports that a cfg may name for its sockets, and that are not built: such a socket is left out."""


@dataclass(slots=True)
class Settings:
    """What the global part of a cfg says. Unset parameters have their defaults."""

    values: dict[str, int | str] = field(default_factory=dict)
    listens: list[Listen] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    flags: dict[str, int] = field(default_factory=dict)
    avp_flags: dict[str, int] = field(default_factory=dict)
    custom: dict[str, dict[str, int | str]] = field(default_factory=dict)
    """Values of custom parameters by group (`group[1]` for an instance) and name; `cfg.set` changes them."""
    described: dict[str, Custom] = field(default_factory=dict)
    quirks: bool = False
    """Whether Kamailio's ways are wanted also where they break an RFC: the cfg defines KAMTOOL_QUIRKS."""

    def __getitem__(self, name: str) -> int | str:
        """The value of a global parameter, or its default."""
        name = ALIASES.get(name, name)
        return self.values.get(name, PARAMETERS[name].default if name in PARAMETERS else 0)

    def number(self, name: str) -> int:
        """A parameter that is a number."""
        value = self[name]
        return value if isinstance(value, int) else 0

    def text(self, name: str) -> str:
        """A parameter that is a text."""
        return str(self[name])

    def set(self, name: str, value: int | str) -> None:
        """Set a global parameter; `disable_tls=yes` sets `enable_tls` to 0."""
        if name in NEGATED:
            self.values[NEGATED[name]] = int(not value)
        else:
            self.values[ALIASES.get(name, name)] = value


def settings_name(wrong: str) -> str:
    """The global parameter that a misspelt one may have meant, "" when none is near."""
    near = likely(wrong, [*NAMES, "listen", "alias"], 1, 0.75)
    return near[0] if near else ""
