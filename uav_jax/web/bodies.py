"""Request bodies, refused while they arrive: too large, too slow, not a video, no disk left."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from uav_jax.web.limits import BodyLimits
from uav_jax.web.refusals import Refusal
from uav_jax.web.requests import is_video_file, parse_settings

HEAD_BYTES = 16
"""Of a file, by which its container is recognised."""

BUFFER_BYTES = 256 * 1024
"""Of an upload that are kept in memory before they are written."""


def declared_length(request: Request) -> int:
    """Returns what a request says of its body's length; 0 where it says nothing."""
    text = request.headers.get("content-length", "0")
    return int(text) if text.isdecimal() else 0


async def _pieces(request: Request, seconds: float) -> AsyncIterator[bytes]:
    """The body as it arrives; `Refusal` where nothing does for some seconds."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(seconds):
                piece = await anext(stream, None)
        except TimeoutError:
            raise Refusal(408, f"nothing arrived for {seconds:g} s") from None
        except ClientDisconnect:
            raise Refusal(400, "the connection was closed before everything had arrived") from None
        if piece is None:
            return
        yield piece


async def read_settings(request: Request, limits: BodyLimits) -> dict:
    """Reads a JSON body and returns the fields of the form that it holds.

    Args:
        request: Whose body has not been read.
        limits: Of its size and time.

    Returns:
        See `parse_settings`.

    Raises:
        Refusal: It is too large (413), too slow (408), or holds values that no form has (422).
        ValueError: It is not a JSON object.
    """
    too_large = Refusal(413, f"the request is too large; up to {limits.json_bytes} bytes")
    if declared_length(request) > limits.json_bytes:
        raise too_large
    body, deadline = bytearray(), time.monotonic() + limits.json_seconds
    async for piece in _pieces(request, limits.json_seconds):
        body += piece
        if len(body) > limits.json_bytes:
            raise too_large
        if time.monotonic() > deadline:
            raise Refusal(408, f"the request took longer than {limits.json_seconds:g} s")
    return await run_in_threadpool(parse_settings, bytes(body))


class UploadWriter:
    """Writes an upload to a file as it arrives.

    Args:
        path: Where to.
        max_bytes: What is accepted.
        free_bytes: Of the disk that stay free.
        limits: Of the speed.
    """

    def __init__(self, path: Path, max_bytes: float, free_bytes: int, limits: BodyLimits):
        self.path, self.max_bytes, self.free_bytes = path, max_bytes, free_bytes
        self.limits = limits
        self.size, self.head = 0, b""

    async def receive(self, request: Request) -> None:
        """Writes the body of a request.

        Raises:
            Refusal: It is too large (413), too slow (408) or broken off (400), or the disk is full
                (507).
            ValueError: It does not begin like a video.
        """
        if declared_length(request) > self.max_bytes:
            raise self._too_large()
        await run_in_threadpool(self._check_disk, declared_length(request))
        file = await run_in_threadpool(self.path.open, "wb")
        try:
            await self._write_all(request, file)
        finally:
            await asyncio.shield(run_in_threadpool(file.close))
        self._check_head()

    async def _write_all(self, request: Request, file: BinaryIO) -> None:
        started, buffer = time.monotonic(), bytearray()
        async for piece in _pieces(request, self.limits.silence_seconds):
            self.size += len(piece)
            if self.size > self.max_bytes:
                raise self._too_large()
            if len(self.head) < HEAD_BYTES:
                self.head = (self.head + piece)[:HEAD_BYTES]
                if len(self.head) == HEAD_BYTES:
                    self._check_head()
            elapsed = time.monotonic() - started
            expected = self.limits.bytes_per_second * elapsed
            if elapsed > self.limits.grace_seconds and self.size < expected:
                raise Refusal(
                    408,
                    f"the upload is slower than {self.limits.bytes_per_second:g} bytes a second",
                )
            buffer += piece
            if len(buffer) >= BUFFER_BYTES:
                await run_in_threadpool(self._write, file, bytes(buffer))
                buffer.clear()
        await run_in_threadpool(self._write, file, bytes(buffer))

    def _write(self, file: BinaryIO, data: bytes) -> None:
        self._check_disk(len(data))
        file.write(data)

    def _check_disk(self, coming: int) -> None:
        if shutil.disk_usage(self.path.parent).free < self.free_bytes + coming:
            raise Refusal(507, "the server's disk is full; try again later")

    def _check_head(self) -> None:
        if not is_video_file(self.head):
            raise ValueError(f"{self.path} is not a video, whatever its name says")

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the file is too large; up to {self.max_bytes / 1e6:g} MB")
