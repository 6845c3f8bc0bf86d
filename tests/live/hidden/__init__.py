"""topos beside Kamailio 5.6.3: the same dialogs through both, what each side sees is compared.

python -m tests.live.hidden            run kamtool, show what differs from the recorded answers
python -m tests.live.hidden --record   ask the installed Kamailio anew, write answers.json
"""
