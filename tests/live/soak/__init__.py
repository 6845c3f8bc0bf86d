"""A server under steady load: calls with dialogs, registrations with digest, for seconds or for half an hour.

    python -m tests.live.soak --seconds 1800 --rate 500 --registrations 50 --json soak.json

starts a server of its own on loopback with soak.cfg, loads it with `kamtool stress`, looks at its memory
every few seconds and at what it still holds when all is over, and says what of it is amiss; exit code 1 then.
"""
