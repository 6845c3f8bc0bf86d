"""The same scenarios, the same cfg, Kamailio 5.6.3 and kamtool: what leaves on the wire is compared.

    python -m tests.live.differential            run kamtool, show what differs from the recorded answers
    python -m tests.live.differential --record   ask the installed Kamailio anew, write answers.json

`deviations.json` holds the scenarios where kamtool answers otherwise on purpose, each with the reason.
"""
