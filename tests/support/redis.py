"""A few commands of a Redis server, in memory: HSET, HGETALL, EXPIRE, DEL, GET, SET, KEYS."""

import asyncio

import pytest_asyncio


class Redis:
    """`kept` is what it holds, `lives` the seconds that keys have left to live, as they were set."""

    def __init__(self):
        self.kept, self.lives, self.heard = {}, {}, []

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def serve(self, reader, writer):
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            writer.write(self.answer(*words))
        writer.close()

    def answer(self, verb, *words):
        verb = verb.decode().upper()
        self.heard.append(verb)
        if verb in ("PING", "SELECT", "CLIENT"):
            return b"+PONG\r\n" if verb == "PING" else b"+OK\r\n"
        if verb == "HSET":
            self.kept.setdefault(words[0], {}).update(zip(words[1::2], words[2::2], strict=True))
            return b":%d\r\n" % (len(words) // 2)
        if verb == "HGETALL":
            flat = [item for pair in self.kept.get(words[0], {}).items() for item in pair]
            return b"*%d\r\n" % len(flat) + b"".join(map(bulk, flat))
        if verb == "SET":
            self.kept[words[0]] = words[1]
            return b"+OK\r\n"
        if verb == "GET":
            return bulk(self.kept.get(words[0]))
        if verb == "EXPIRE":
            self.lives[words[0]] = int(words[1])
            return b":1\r\n"
        if verb == "DEL":
            return b":%d\r\n" % (self.kept.pop(words[0], None) is not None)
        if verb == "KEYS":
            return b"*%d\r\n" % len(self.kept) + b"".join(map(bulk, self.kept))
        return b"-ERR unknown command\r\n"

    def stop(self):
        self.server.close()


def bulk(value):
    return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)


@pytest_asyncio.fixture
async def redis_server():
    running = await Redis().start()
    yield running
    running.stop()
