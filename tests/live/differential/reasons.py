# ruff: noqa: E501
"""Where kamtool answers otherwise than Kamailio 5.6.3 on purpose, and what decides."""

BEST = (
    "RFC 3261 16.7 step 6: a 503 should not be forwarded, so another answer of the same class is preferred; "
    "Kamailio takes the lower number and makes a 500 of it"
)
SOCKET = (
    "RFC 3261 16.6 step 8 leaves the socket free: ours is the one the request came by. Kamailio's asynchronous "
    "workers take the last one that listens"
)

NO_408 = "RFC 4320 4.2: no 408 to any request but INVITE; Kamailio sends it"

REASONS = {
    "nobody_answers_a_message": NO_408,
    "the_2xx_of_a_message_after_its_time": NO_408,
    "the_2xx_of_a_message_after_its_time__others": NO_408,
    "a_provisional_answer_to_a_message": "RFC 4320 4.1: no provisional response but 100 to any request but INVITE",
    "an_unresolvable_next_hop": "RFC 3261 17.2.1: one final response. Kamailio sends the 478 of sl and then that of tm",
    "answer_sl_code": "RFC 3261 7.2: the first digit of a status is 1 to 6; `default_code` takes its place",
    "answer_t_code": "RFC 3261 7.2: a status has three digits of which the first is 1 to 6",
    "best_of_503_and_504": BEST,
    "best_of_503_and_504__parameters": BEST,
    "challenges_are_gathered": (
        "RFC 3261 16.7 step 7: the challenges are added to the best response itself; Kamailio makes a new one"
    ),
    "a_6xx_cancels_the_other_and_wins": "RFC 3326 2: Reason has the text too where it is known; Kamailio has the cause",
    "a_silent_branch_rings_after_the_winner": "RFC 3326 2: the same Reason as in a CANCEL that need not wait",
    "cancel_before_anything_came_back": (
        "RFC 3261 16.7 step 5: a provisional response goes on, also to a caller that has sent CANCEL"
    ),
    "cancel_of_a_suspended_invite": "RFC 3261 21.4.25: 487 is `Request Terminated`; the phrase to CANCEL is free",
    "answer_by_call_id": "the OPTIONS that asks is answered; Kamailio's t_reply answers the other transaction again",
    "silent_then_elsewhere_then_a_late_2xx": (
        "RFC 3261 16.7 step 5: every 2xx to an INVITE goes to the caller. Kamailio drops that of a dropped branch"
    ),
    "a_branch_route_changes_the_uri": (
        "RFC 3261 16.6 step 7: the next hop follows from the R-URI as it leaves; in Kamailio from that before the "
        "branch_route, unless $du is set there"
    ),
    "record_rr_removed": "RFC 3261 7.3: Kamailio 5.6.3 leaves the rest of its Record-Route as a header of no name",
    "a_request_goes_on_later": SOCKET,
    "a_message_goes_on_later": SOCKET,
    "a_task_goes_on": SOCKET,
    "a_request_sleeps": SOCKET,
    "one_branch_silent_one_server_error__others": (
        "the manual of tm on faked_reply_prio: what was received wins; Kamailio forgets it for the last branch"
    ),
    "the_code_of_a_timeout_in_the_failure_route__others": (
        "the manual of tm on faked_reply_prio: what was received wins; Kamailio forgets it for the last branch"
    ),
}  # fmt: skip
