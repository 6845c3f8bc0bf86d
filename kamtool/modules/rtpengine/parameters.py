"""The parameters of rtpengine."""

from __future__ import annotations

from kamtool.module import Param

_MOS = "a pseudo-variable that gets, when a call is deleted, "


class Parameters:
    """`modparam("rtpengine", …)`."""

    rtpengine_sock = Param(
        "", "relays with their weights: `udp:127.0.0.1:2223=2 udp:…`, `1 == udp:…`", repeat=True
    )
    rtpengine_disable_tout = Param(60, "seconds that a relay which did not answer is left alone")
    aggressive_redetection = Param(1, "1: when no relay is left, those taken for dead are asked again")
    rtpengine_tout_ms = Param(1000, "milliseconds to wait for an answer before asking again")
    rtpengine_retr = Param(5, "how often a relay is asked before it is taken for dead")
    rtpengine_allow_op = Param(0, "1: calls go on with a relay that was disabled by hand until they end")
    queried_nodes_limit = Param(30, "how many relays an offer tries at most")
    ping_mode = Param(1, "0: relays are not asked at start, only when a call needs them")
    hash_algo = Param(0, "how a Call-ID chooses its relay: 0 the sum of its octets, 1 SHA-1")
    hash_table_tout = Param(3600, "accepted: which relay has a call is remembered for the last 100,000 calls")
    hash_table_size = Param(256, "accepted: the table grows by itself")
    setid_default = Param(0, "the set of relays without a number, and of messages that chose none")
    setid_avp = Param("", "the pseudo-variable with the number of the set to use")
    extra_id_pv = Param("", "the pseudo-variable that `via-branch=extra` takes")
    read_sdp_pv = Param("", "the pseudo-variable with the SDP to offer, in place of the body")
    write_sdp_pv = Param("", "the pseudo-variable that gets the new SDP; the body stays then")
    rtp_inst_pvar = Param("", "the pseudo-variable that gets the URL of the relay that was used")
    media_duration = Param(
        "", "a pseudo-variable that gets, when a call is deleted, its seconds in rtpengine"
    )
    control_cmd_tos = Param(-1, "the type of service of packets to the relays")
    force_send_interface = Param("", "the address that packets to the relays come from")
    db_url = Param("", "the database with the relays")
    table_name = Param("rtpengine", "the table of relays in it")
    setid_col = Param("setid", "its column with the number of the set")
    url_col = Param("url", "its column with the URL")
    weight_col = Param("weight", "its column with the weight")
    disabled_col = Param("disabled", "its column with 1 for relays not to use")
    wsapi = Param("", "the module for relays at WebSocket URLs: not supported")

    mos_min_pv = Param("", _MOS + "the lowest MOS")
    mos_min_at_pv = Param("", _MOS + "when the lowest MOS was, as minutes:seconds")
    mos_min_packetloss_pv = Param("", _MOS + "the packet loss in percent at the lowest MOS")
    mos_min_jitter_pv = Param("", _MOS + "the jitter in ms at the lowest MOS")
    mos_min_roundtrip_pv = Param("", _MOS + "the round trip in µs at the lowest MOS")
    mos_min_roundtrip_leg_pv = Param("", _MOS + "the round trip of that leg in µs at the lowest MOS")
    mos_max_pv = Param("", _MOS + "the highest MOS")
    mos_max_at_pv = Param("", _MOS + "when the highest MOS was, as minutes:seconds")
    mos_max_packetloss_pv = Param("", _MOS + "the packet loss in percent at the highest MOS")
    mos_max_jitter_pv = Param("", _MOS + "the jitter in ms at the highest MOS")
    mos_max_roundtrip_pv = Param("", _MOS + "the round trip in µs at the highest MOS")
    mos_max_roundtrip_leg_pv = Param("", _MOS + "the round trip of that leg in µs at the highest MOS")
    mos_average_pv = Param("", _MOS + "the average MOS")
    mos_average_packetloss_pv = Param("", _MOS + "the average packet loss in percent")
    mos_average_jitter_pv = Param("", _MOS + "the average jitter in ms")
    mos_average_roundtrip_pv = Param("", _MOS + "the average round trip in µs")
    mos_average_roundtrip_leg_pv = Param("", _MOS + "the average round trip of a leg in µs")
    mos_average_samples_pv = Param("", _MOS + "how many reports the averages are of")

    mos_A_label_pv = Param(  # noqa: N815
        "", "a text with variables: the label of the party whose quality the `…_A_pv` tell"
    )
    mos_min_A_pv = Param("", _MOS + "the lowest MOS, of party A")  # noqa: N815
    mos_min_at_A_pv = Param("", _MOS + "when the lowest MOS was, as minutes:seconds, of party A")  # noqa: N815
    mos_min_packetloss_A_pv = Param("", _MOS + "the packet loss in percent at the lowest MOS, of party A")  # noqa: N815
    mos_min_jitter_A_pv = Param("", _MOS + "the jitter in ms at the lowest MOS, of party A")  # noqa: N815
    mos_min_roundtrip_A_pv = Param("", _MOS + "the round trip in µs at the lowest MOS, of party A")  # noqa: N815
    mos_min_roundtrip_leg_A_pv = Param(  # noqa: N815
        "", _MOS + "the round trip of that leg in µs at the lowest MOS, of party A"
    )
    mos_max_A_pv = Param("", _MOS + "the highest MOS, of party A")  # noqa: N815
    mos_max_at_A_pv = Param("", _MOS + "when the highest MOS was, as minutes:seconds, of party A")  # noqa: N815
    mos_max_packetloss_A_pv = Param("", _MOS + "the packet loss in percent at the highest MOS, of party A")  # noqa: N815
    mos_max_jitter_A_pv = Param("", _MOS + "the jitter in ms at the highest MOS, of party A")  # noqa: N815
    mos_max_roundtrip_A_pv = Param("", _MOS + "the round trip in µs at the highest MOS, of party A")  # noqa: N815
    mos_max_roundtrip_leg_A_pv = Param(  # noqa: N815
        "", _MOS + "the round trip of that leg in µs at the highest MOS, of party A"
    )
    mos_average_A_pv = Param("", _MOS + "the average MOS, of party A")  # noqa: N815
    mos_average_packetloss_A_pv = Param("", _MOS + "the average packet loss in percent, of party A")  # noqa: N815
    mos_average_jitter_A_pv = Param("", _MOS + "the average jitter in ms, of party A")  # noqa: N815
    mos_average_roundtrip_A_pv = Param("", _MOS + "the average round trip in µs, of party A")  # noqa: N815
    mos_average_roundtrip_leg_A_pv = Param("", _MOS + "the average round trip of a leg in µs, of party A")  # noqa: N815
    mos_average_samples_A_pv = Param("", _MOS + "how many reports the averages are of, of party A")  # noqa: N815
    mos_B_label_pv = Param(  # noqa: N815
        "", "a text with variables: the label of the party whose quality the `…_B_pv` tell"
    )
    mos_min_B_pv = Param("", _MOS + "the lowest MOS, of party B")  # noqa: N815
    mos_min_at_B_pv = Param("", _MOS + "when the lowest MOS was, as minutes:seconds, of party B")  # noqa: N815
    mos_min_packetloss_B_pv = Param("", _MOS + "the packet loss in percent at the lowest MOS, of party B")  # noqa: N815
    mos_min_jitter_B_pv = Param("", _MOS + "the jitter in ms at the lowest MOS, of party B")  # noqa: N815
    mos_min_roundtrip_B_pv = Param("", _MOS + "the round trip in µs at the lowest MOS, of party B")  # noqa: N815
    mos_min_roundtrip_leg_B_pv = Param(  # noqa: N815
        "", _MOS + "the round trip of that leg in µs at the lowest MOS, of party B"
    )
    mos_max_B_pv = Param("", _MOS + "the highest MOS, of party B")  # noqa: N815
    mos_max_at_B_pv = Param("", _MOS + "when the highest MOS was, as minutes:seconds, of party B")  # noqa: N815
    mos_max_packetloss_B_pv = Param("", _MOS + "the packet loss in percent at the highest MOS, of party B")  # noqa: N815
    mos_max_jitter_B_pv = Param("", _MOS + "the jitter in ms at the highest MOS, of party B")  # noqa: N815
    mos_max_roundtrip_B_pv = Param("", _MOS + "the round trip in µs at the highest MOS, of party B")  # noqa: N815
    mos_max_roundtrip_leg_B_pv = Param(  # noqa: N815
        "", _MOS + "the round trip of that leg in µs at the highest MOS, of party B"
    )
    mos_average_B_pv = Param("", _MOS + "the average MOS, of party B")  # noqa: N815
    mos_average_packetloss_B_pv = Param("", _MOS + "the average packet loss in percent, of party B")  # noqa: N815
    mos_average_jitter_B_pv = Param("", _MOS + "the average jitter in ms, of party B")  # noqa: N815
    mos_average_roundtrip_B_pv = Param("", _MOS + "the average round trip in µs, of party B")  # noqa: N815
    mos_average_roundtrip_leg_B_pv = Param("", _MOS + "the average round trip of a leg in µs, of party B")  # noqa: N815
    mos_average_samples_B_pv = Param("", _MOS + "how many reports the averages are of, of party B")  # noqa: N815
