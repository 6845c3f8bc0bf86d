"""Benchmarks: what a SIP message, a contact, a connection costs, in CPU and in bytes.

    python -m tests.bench                 everything, about ten minutes; a table, and JSON in build/bench.json
    python -m tests.bench --quick         the same with short runs, about two minutes: good to a tenth or so
    python -m tests.bench table           all of that beside Kamailio in one table
    python -m tests.bench live call       one part, one case (options register register-db call
                                    call-digest call-stock)
    python -m tests.bench live --server kamtool
    python -m tests.bench replay --profile     where the time of the offline replay goes
    python -m tests.bench replay --callgrind   instructions per call, the number that CI may compare
    python -m tests.bench memory
    python -m tests.bench scale           the location table with many users; some of its rows:
                                    register-1k register-100k storm lookup-1 lookup-10 memory start flash
    python -m tests.bench script          what a script costs per message, plain and watched by a debugger
    python -m tests.bench.matrix          what authentication, NAT, hidden topology and TLS cost, as markdown
    python -m tests.bench workers         calls a second of 1, 2 and 3 workers with the same share of a core
    python -m tests.bench check           how long `kamtool check` of 1,300 lines takes, the whole process

Nothing here is a test: a machine that is busy with something else gives other figures. Run it on an idle
one with two cores or more; the load generator is bound to core 1, the server to core 0.

How to read it

*live*: Kamailio (as an expert starts it: `-x fm -X fm`, much memory, one UDP worker, nothing logged) and
`kamtool serve` run the same file, proxy.cfg, under the same generator, run after run in turn. `us/op` is
CPU of the server and all its processes from /proc, divided by the operations: the median of the valid runs,
and the range. For calls it includes the seconds after the run in which tm lets go of its transactions, less
what an idle server uses. `paced` is 1,000 operations a second: mostly wake-ups, every datagram alone.
`saturated` is a closed loop with a bounded number in flight; `busy` says how much of its core the server
used: below nine tenths the generator was the slower one, the server waited for it, and its batches were
shorter than they would be. A run with a lost, repeated, dropped or unexpected message is invalid, counts
for nothing, and the table says so. `ratio` is kamtool over Kamailio: 1.0 or less is the goal.

*replay*: the six messages of a call handed to `Server.receive` with sockets replaced by a list,
cfg/default.cfg, one process, CPU of the thread. No system call is in it: it is the cost of parsing, script,
transaction and registrar. `caller` has the INVITE's credentials checked, `inbound` is a call from another
domain that needs none; `stock` is an inbound call on Kamailio's own kamailio.cfg, its two lines of acc
written to /dev/null. The budget is 35 us. `letting go` is what the timers cost per call when the
transactions end.

*memory*: growth of the process by so many contacts, ringing calls and idle TCP connections, per thing.

*scale*: location.cfg, both servers in turn. `register-1k` and `register-100k` are REGISTER with digest of so
many accounts in SQLite, one after the other; `storm` is every phone refreshing at once with the nonce it has;
`lookup-1` and `lookup-10` a request that is answered once its user's contacts are found. `memory` is the
growth per contact (limit 1024 bytes), `start` what one row of the location table costs at start-up, with
db_mode 2; `flash` (kamtool alone) what 10,000 phones that refresh every 5 minutes write in a simulated day
(limit 50 MB).

*registers*: REGISTER with digest over TLS connections that stay open, one a phone: a refresh's CPU and time,
and the bytes that a phone takes with its connection and its contact.

*table*: the rows in which kamtool is to need less than Kamailio, half of it in saturated calls; where
one misses, `why` is beside it.

*workers*: phones with a port each call one another, as fast as they can, on one server with 2 or 3 workers,
and in turn on as many servers apart: each worker may use a fifth of a core (a control group each; root).
`of servers apart` is what is left when they are one server; `busy` near 100 % says that the workers were the
limit, not the generator. Two that are busy at once may each be slower than one alone: cores share a cache.

*script*: µs of CPU per message for the request_route of cfg/default.cfg and one of 62 statements, from the
bytes to the end of the route; `bare` is a route that only exits. `attached` has an observer that asks for no
statement, `traced` one that is told of each. The plain build must not be slower by more than 2 % where the
debugger is loaded; its code is compared with that of a process that never loads it.
"""
