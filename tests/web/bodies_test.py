"""Bodies are refused while they arrive, and parsed elsewhere."""

import asyncio

import pytest
from starlette.requests import Request

from uav_jax.web import bodies
from uav_jax.web.bodies import UploadWriter, read_settings
from uav_jax.web.limits import BodyLimits
from uav_jax.web.refusals import Refusal

HEAD = b"\x00\x00\x00\x20ftypisom" + bytes(8)
SHORT = BodyLimits(json_seconds=0.2, silence_seconds=0.1, grace_seconds=0.1, bytes_per_second=1e5)


class Sender:
    """A request whose body comes piece by piece, with pauses; counts what was taken."""

    def __init__(self, pieces, pause=0.0, length=None):
        self.pieces, self.pause, self.taken = iter(pieces), pause, 0
        headers = [] if length is None else [(b"content-length", str(length).encode())]
        scope = {"type": "http", "method": "POST", "headers": headers}
        self.request = Request(scope, self.receive)

    async def receive(self):
        await asyncio.sleep(self.pause)
        piece = next(self.pieces, None)
        if piece is None:
            return {"type": "http.request", "body": b"", "more_body": False}
        if piece is ConnectionError:
            return {"type": "http.disconnect"}
        self.taken += len(piece)
        return {"type": "http.request", "body": piece, "more_body": True}


def refused(status, awaitable):
    with pytest.raises(Refusal) as caught:
        asyncio.run(awaitable)
    assert caught.value.status == status


def test_json_is_parsed_off_the_event_loop(monkeypatch):
    def parse(body):
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return len(body)

    monkeypatch.setattr(bodies, "parse_settings", parse)
    assert asyncio.run(read_settings(Sender([b"{", b"}"]).request, BodyLimits())) == 2


def test_a_large_json_body_is_not_read_to_its_end():
    sender = Sender(iter(lambda: bytes(1000), None))
    refused(413, read_settings(sender.request, BodyLimits()))
    assert 64_000 < sender.taken < 67_000
    sender = Sender([b"{}"], length=60_000_000)
    refused(413, read_settings(sender.request, BodyLimits()))
    assert sender.taken == 0


@pytest.mark.parametrize(
    ("pieces", "pause", "status"),
    [([b"{"] * 100, 0.05, 408), ([b"{"], 1.0, 408), ([b"{", ConnectionError], 0.0, 400)],
)
def test_a_slow_or_broken_json_body_is_refused(pieces, pause, status):
    refused(status, read_settings(Sender(pieces, pause).request, SHORT))


@pytest.mark.parametrize(
    ("pieces", "pause", "status"),
    [
        ([HEAD, *[bytes(100)] * 100], 0.05, 408),  # slower than the least speed
        ([HEAD], 0.3, 408),  # silence
        ([HEAD, ConnectionError], 0.0, 400),
        ([HEAD, *[bytes(1000)] * 20], 0.0, 413),
    ],
)
def test_slow_broken_and_large_uploads_are_refused(tmp_path, pieces, pause, status):
    writer = UploadWriter(tmp_path / "a.mp4", 10_000, 0, SHORT)
    refused(status, writer.receive(Sender(pieces, pause).request))


def test_what_is_no_video_is_refused_at_its_first_bytes(tmp_path):
    sender = Sender([b"#EXTM3U\n", *[bytes(1000)] * 100])
    writer = UploadWriter(tmp_path / "a.mp4", 1e9, 0, BodyLimits())
    with pytest.raises(ValueError, match="is not a video"):
        asyncio.run(writer.receive(sender.request))
    assert sender.taken < 2000


def test_an_upload_is_written_as_it_was_sent(tmp_path):
    pieces = [HEAD[:3], HEAD[3:], *[bytes([n]) * 70_000 for n in range(12)]]
    asyncio.run(
        UploadWriter(tmp_path / "a.mp4", 1e9, 0, BodyLimits()).receive(Sender(pieces).request)
    )
    assert (tmp_path / "a.mp4").read_bytes() == b"".join(pieces)
