"""Deadlines of connections, with an application that answers at once or at length."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn

from uav_jax.web.connections import TimedProtocol, server_config
from uav_jax.web.limits import ConnectionLimits

LIMITS = ConnectionLimits(connections=5, head_seconds=0.6, linger_seconds=0.3, write_seconds=2.0)
PIECES, PIECE = 400, 65536
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LONG = b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n"


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    count = PIECES if scope["path"] == "/long" else 1
    length = str(count * PIECE).encode()
    headers = [(b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(count):
        more = number + 1 < count
        await send({"type": "http.response.body", "body": bytes(PIECE), "more_body": more})


@asynccontextmanager
async def served():
    server = uvicorn.Server(server_config(app, "127.0.0.1", 0, LIMITS))
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server, server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def connected(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def until(condition, seconds=20):
    """How long it takes until something holds."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds
        await asyncio.sleep(0.01)
    return time.monotonic() - start


def test_an_answer_that_nobody_takes_is_dropped():
    async def check():
        async with served() as (server, port), connected(port) as (_, writer):
            writer.transport.pause_reading()
            writer.write(LONG)
            await until(lambda: server.server_state.tasks)
            await until(lambda: not server.server_state.tasks)
            assert not server.server_state.connections

    asyncio.run(check())


def test_an_answer_that_is_taken_slowly_but_steadily_arrives():
    async def check():
        async with served() as (_, port), connected(port) as (reader, writer):
            writer.write(LONG)
            size = 0
            while size < PIECES * PIECE:
                piece = await reader.read(1 << 20)
                assert piece, f"closed after {size} bytes"
                size += len(piece)
                await asyncio.sleep(0.02)

    asyncio.run(check())


def test_a_connection_is_used_again_after_longer_than_a_head_may_take():
    async def check():
        async with served() as (_, port), connected(port) as (reader, writer):
            for _ in range(2):
                writer.write(GET)
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(PIECE)
                await asyncio.sleep(2 * LIMITS.head_seconds)

    asyncio.run(check())


@pytest.mark.parametrize("head", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_slow_head_is_closed(head):
    async def check():
        async with served() as (server, port), connected(port) as (_, writer):
            await until(lambda: server.server_state.connections)
            writer.write(head)
            start = time.monotonic()
            while server.server_state.connections:
                assert time.monotonic() - start < 20
                if head:
                    writer.write(b"a")
                await asyncio.sleep(0.05)

    asyncio.run(check())


def connection(received, since, now=100.0):
    protocol = TimedProtocol.__new__(TimedProtocol)
    protocol._received, protocol._since = received, now - since
    return protocol._priority(now)


def test_the_slowest_is_closed_first_and_the_young_last():
    fast, slow, silent = connection(1e6, 10), connection(50, 10), connection(0, 10)
    young, younger = connection(0, 0.5), connection(0, 0.1)
    assert sorted([younger, fast, young, silent, slow]) == [silent, slow, fast, young, younger]


def test_one_more_connection_than_are_kept_still_gets_an_answer():
    async def check():
        async with served() as (server, port):
            idle = [connected(port) for _ in range(LIMITS.connections)]
            streams = [await one.__aenter__() for one in idle]
            await until(lambda: len(server.server_state.connections) == LIMITS.connections)
            async with connected(port) as (reader, writer):
                writer.write(GET)
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
                assert len(server.server_state.connections) <= LIMITS.connections
            assert await streams[0][0].read() == b""  # the oldest
            for one in idle:
                await one.__aexit__(None, None, None)

    asyncio.run(check())
