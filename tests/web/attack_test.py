"""A server under attack: others are answered within a second, and nothing stays behind."""

import asyncio
import http.client
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.clips import make_video, smooth_frames
from tests.web.server import ATTACKED_CONNECTIONS, SECONDS, SLOW

ANSWER_SECONDS = 1.0
"""Within which another visitor is answered, whatever happens."""

MEMORY_KIB = 50_000
"""That the process may have grown by in the end: freed memory that malloc keeps."""

UNFINISHED = 30
MP4 = b"\x00\x00\x00\x20ftypisom"
LARGE = 60_000_000


def without_processor(*threads):
    """Seconds that threads of processes were ready to run while the machine ran something else."""
    total = 0.0
    for path in (f"/proc/{process}/task/{thread}/schedstat" for process, thread in threads):
        with suppress(OSError):  # a system that does not count them
            total += int(Path(path).read_text().split()[1]) / 1e9
    return total


class Server:
    """The attacked process, and a visitor with a video."""

    def __init__(self, process, port, root, clip):
        self.process, self.port, self.root = process, port, root
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/api/video?name=a.mp4", clip.read_bytes())
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        self.cookie = answer.getheader("set-cookie").partition(";")[0]
        connection.close()
        with self.visited():
            time.sleep(1)
        self.before = self.memory(), self.files()

    def memory(self):
        """Resident memory in KiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s*(\d+)", text)[1])

    def files(self):
        return sorted(str(path) for path in self.root.rglob("*"))

    @contextmanager
    def visited(self):
        """Another visitor asks again and again meanwhile, and is answered in time.

        Time in which the machine gave no processor to the server's event loop or to this visitor
        is not counted: other tests may run beside this one.
        """
        waits, stop = [], threading.Event()

        def ask():
            threads = (self.process.pid,) * 2, (os.getpid(), threading.get_native_id())

            def now():
                return time.monotonic() - without_processor(*threads)

            while not stop.wait(0.05):
                start = now()
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
                try:
                    connection.request("GET", "/api/state", headers={"Cookie": self.cookie})
                    answer = connection.getresponse()
                    found = b"a.mp4" in answer.read()
                    waits.append((now() - start, answer.status, found))
                except OSError as error:
                    waits.append((now() - start, repr(error), False))
                finally:
                    connection.close()

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert {wait[1:] for wait in waits} == {(200, True)}, waits
        assert max(waits)[0] < ANSWER_SECONDS, f"waited {max(waits)[0]:.2f} s"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("visitors")
    clip = make_video(root.parent / "clip.mp4", smooth_frames(3, 16, 16), range(3))
    command = [sys.executable, "-m", "tests.web.server", str(root)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield Server(process, int(process.stdout.readline()), root, clip)
        finally:
            process.kill()


class Client:
    """A connection that sends whatever it likes."""

    def __init__(self, port):
        self.port = port

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_):
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()

    async def send(self, data):
        """Whether the server still takes it."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError:
            return False
        return not self.writer.is_closing()

    async def answer(self):
        """What the server says until it closes the connection; empty where nothing."""
        try:
            return await self.reader.read(100_000)
        except OSError:
            return b""

    async def trickle(self, first, each, seconds=4 * SECONDS):
        """Sends a piece now and then; returns after how long the server has ended that."""
        start = time.monotonic()
        ended = asyncio.create_task(self.answer())
        alive = await self.send(first)
        while alive and not ended.done() and time.monotonic() - start < seconds:
            await asyncio.sleep(0.3)
            alive = not each or await self.send(each)
        took, answer = time.monotonic() - start, b""
        if ended.done():
            answer = ended.result()
        ended.cancel()
        return took, answer


def together(count, port, attack):
    """Results of `attack(client)` of many connections at once."""

    async def one():
        async with Client(port) as client:
            return await attack(client)

    async def every():
        return await asyncio.gather(*(one() for _ in range(count)))

    return asyncio.run(every())


def post(path, length, *, chunked=False, cookie=""):
    size = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {length}"
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n{size}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", ["/api/plan", "/api/run", "/api/forget", "/api/video?name=a.mp4"])
def test_large_bodies_are_refused_while_they_arrive(server, path, chunked):
    piece = bytes(100_000)

    async def flood(client):
        await client.send(
            post(
                path,
                LARGE,
                chunked=chunked,
                cookie=server.cookie * (chunked and "forget" not in path),
            )
        )
        sent = 0
        data = b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece
        while sent < LARGE and await client.send(data):
            sent += len(piece)
        return sent, await client.answer()

    with server.visited():
        answers = together(4, server.port, flood)
    for _, answer in answers:
        assert re.match(rb"HTTP/1.1 (400|413|200|409) |$", answer), answer[:200]
    assert server.memory() - server.before[0] < 2 * MEMORY_KIB


def test_requests_without_cookies_leave_nothing(server):
    request = b"GET /api/state HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async def flood(client):
        answers = []
        for _ in range(60):
            await client.send(request)
            head = await client.reader.readuntil(b"\r\n\r\n")
            await client.reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
            answers.append(head)
        return answers

    with server.visited():
        answers = [a for found in together(20, server.port, flood) for a in found]
    assert all(a.startswith(b"HTTP/1.1 200") and b"set-cookie" not in a.lower() for a in answers)
    assert server.files() == server.before[1]


def test_unfinished_uploads_are_ended_and_removed(server):
    request = post("/api/video?name=a.mp4", 10_000_000) + MP4 + bytes(200_000)

    with server.visited():
        stalled = together(UNFINISHED, server.port, lambda c: c.trickle(request, b""))
        slow = together(UNFINISHED, server.port, lambda c: c.trickle(request[:300], b"\0" * 50))
    for took, answer in stalled + slow:
        assert answer.startswith(b"HTTP/1.1 408"), answer
        assert took < 2 * SECONDS + 1
    assert server.files() == server.before[1]


def test_a_visitor_has_one_upload_at_a_time(server):
    first = post("/api/video?name=b.mp4", 10_000_000, cookie=server.cookie) + MP4

    async def two():
        async with Client(server.port) as one, Client(server.port) as other:
            await one.send(first)
            await asyncio.sleep(0.3)
            await other.send(first)
            return await other.answer()

    assert asyncio.run(two()).startswith(b"HTTP/1.1 409")
    deadline = time.monotonic() + 5
    while server.files() != server.before[1]:  # the first was broken off
        assert time.monotonic() < deadline, server.files()
        time.sleep(0.05)


SLOW_SENDERS = {
    "heads": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ", b"a"),
    "silence": (b"", b""),
    "bodies": (post("/api/plan", 5000), b" "),
    "bodies that were answered": (post("/api/cancel", 5000), b" "),
}


@pytest.mark.parametrize("what", SLOW_SENDERS)
def test_slow_connections_are_closed(server, what):
    """Twice as many as the server keeps; the other visitor still gets in."""
    first, each = SLOW_SENDERS[what]
    count = 2 * ATTACKED_CONNECTIONS.connections
    with server.visited():
        answers = together(count, server.port, lambda c: c.trickle(first, each))
    assert max(took for took, _ in answers) < SECONDS + 1.5


def test_slow_videos_wait_for_two_threads_and_not_without_end(server):
    body = MP4 + SLOW + bytes(100)
    request = post("/api/video?name=a.mp4", len(body)) + body

    async def upload(client):
        await client.send(request)
        return (await client.answer())[9:12]

    with server.visited():
        statuses = together(40, server.port, upload)
    assert set(statuses) == {b"400", b"503"} and statuses.count(b"503") >= 10, statuses
    assert server.files() == server.before[1]


def test_memory_and_disk_are_as_before(server):
    """The last test of this file."""
    assert server.files() == server.before[1]
    assert server.memory() - server.before[0] < MEMORY_KIB
