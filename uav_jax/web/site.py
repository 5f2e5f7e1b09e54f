"""What the page asks for: uploads, plans, previews, runs, results, each visitor's own."""

import io
import secrets
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TypeVar

from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from uav_jax.jobs.estimate import cost
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.runtime.files import make_own_folder, remove_own_file, remove_own_folder
from uav_jax.video.color import to_8_bit
from uav_jax.video.probe import probe
from uav_jax.video.source import SourceInfo
from uav_jax.web.bodies import UploadWriter, read_settings
from uav_jax.web.cookies import cookie_name, is_cross_site, set_cookie
from uav_jax.web.limits import Limits
from uav_jax.web.queue import Queue, Run
from uav_jax.web.refusals import Refusal, error_response
from uav_jax.web.requests import (
    UPLOAD,
    moment_from,
    options_from,
    settings_from,
    shown_name,
    suffix_of,
)
from uav_jax.web.scans import ScanPool
from uav_jax.web.state import described, facts
from uav_jax.web.visitors import MARKER, Upload, Visitor, Visitors
from uav_jax.web.work import Quota, job_of, preview, saved_stills, whole

Value = TypeVar("Value")


class Site:
    """The handlers of requests, with what they share: the model, the queue and the visitors.

    A handler gets the visitor, None where nobody is known, and returns a response or an object for
    JSON. What it raises is answered by `refusals.error_response`.
    """

    def __init__(self, upscaler: Upscaler, root: Path, limits: Limits, queue: Queue):
        self.upscaler, self.limits, self.queue = upscaler, limits, queue
        self.visitors = Visitors(root, limits.hours * 3600, limits.visitors)
        self.scans = ScanPool(limits.scans, limits.queued_scans)

    async def _scan(self, visitor: Visitor, call: Callable[[], Value]) -> Value:
        """Calls what reads a visitor's upload on a thread for that."""
        if visitor.scans >= self.limits.scans_of_one:
            raise Refusal(429, "too many requests at once; try again in a moment")
        visitor.scans += 1
        try:
            return await self.scans.run(call)
        finally:
            visitor.scans -= 1

    async def state(self, request: Request, visitor: Visitor | None) -> dict:
        """Everything, for a page that was just opened or asks how far it is."""
        return described(visitor, self.queue) | facts(self.upscaler, self.limits)

    async def upload(self, request: Request, visitor: Visitor | None) -> Response:
        """Takes a video, the request's body, and says what it is. The first one begins a visit."""
        name = shown_name(request.query_params.get("name", ""))
        suffix = suffix_of(name)
        secret = request.cookies.get(cookie_name(request), "")
        if is_new := visitor is None:
            secret, visitor = self.visitors.begin()
        try:
            with visitor.reserved():
                await run_in_threadpool(self.visitors.make_folder, visitor)
                path = visitor.folder / f"{secrets.token_hex(8)}{suffix}"
                try:
                    source = await self._receive(request, visitor, path, name)
                    await run_in_threadpool(visitor.forget, path)
                except BaseException:
                    await run_in_threadpool(remove_own_file, path)
                    raise
                visitor.upload = Upload(name, source)
        except BaseException as error:
            if is_new:
                await run_in_threadpool(self.visitors.remove, visitor)
            if isinstance(error, Exception):
                return error_response(error, visitor.folder, name)
            raise
        response = JSONResponse(await self.state(request, visitor))
        set_cookie(request, response, secret)
        return response

    async def _receive(
        self, request: Request, visitor: Visitor, path: Path, name: str
    ) -> SourceInfo:
        """Writes an upload and reads what it is."""
        limits = self.limits
        left = limits.total_megabytes * 1e6 - await run_in_threadpool(visitor.bytes)
        if left <= 0:
            raise Refusal(413, f"your files have {limits.total_megabytes:g} MB; remove them first")
        most = min(limits.megabytes * 1e6, left)
        await UploadWriter(path, most, limits.free_bytes, limits.bodies).receive(request)
        source = await self._scan(visitor, lambda: probe(path, UPLOAD))
        seconds = source.frames / float(source.rate)
        if seconds > limits.seconds:
            raise ValueError(
                f"{name} is {seconds:.0f} s long; up to {limits.seconds:g} s are accepted"
            )
        return source

    async def plan(self, request: Request, visitor: Visitor | None) -> dict:
        """What the whole video will take with these settings."""
        values = await self._settings(request)
        visitor, upload = _with_upload(visitor)
        settings = settings_from(values, self.upscaler.defaults)
        options, folder = options_from(values), visitor.folder / "result"

        def estimate() -> dict:
            job = job_of(self.upscaler, upload.source, settings, options, folder, lambda *_: None)
            expected = cost(self.upscaler, job)
            return {
                "seconds": expected.seconds,
                "memory": expected.memory,
                "width": job.size[1],
                "height": job.size[0],
                "tiles": len(job.plan.tiles),
                "scenes": len({segment.scene for segment in job.plan.segments}),
                "frames": job.source.frames,
                "notes": list(job.notes),
            }

        return await self._scan(visitor, estimate)

    async def preview(self, request: Request, visitor: Visitor | None) -> dict:
        """Queues a preview."""
        values = await self._settings(request)
        visitor, upload = _with_upload(visitor)
        with visitor.reserved():
            settings, moment = settings_from(values, self.upscaler.defaults), moment_from(values)
            self.upscaler.check(settings)
            folder = visitor.folder / "preview"
            visitor.preview = 0
            await run_in_threadpool(_renew, folder)
            work = preview(self.upscaler, upload.source, moment, settings, folder)

            def finish(run: Run) -> None:
                work(run)
                visitor.preview = len(list(folder.glob("*_after.jpg")))

            self._start(visitor, Run("preview", finish), values)
        return described(visitor, self.queue)

    async def run(self, request: Request, visitor: Visitor | None) -> dict:
        """Queues the whole video. A result that is there is replaced."""
        values = await self._settings(request)
        visitor, upload = _with_upload(visitor)
        with visitor.reserved():
            settings = settings_from(values, self.upscaler.defaults)
            options = options_from(values)
            self.upscaler.check(settings)
            folder, found = visitor.folder / "result", []
            can_resume = visitor.result is None and visitor.settings == values
            visitor.result, visitor.stills = None, ()
            await run_in_threadpool(_make if can_resume else _renew, folder)
            quota = Quota(visitor.folder, self.limits.total_megabytes, self.limits.free_bytes)
            work = whole(self.upscaler, upload.source, settings, options, folder, quota, found)

            def finish(run: Run) -> None:
                work(run)
                job = found[-1]
                visitor.stills, visitor.result = saved_stills(folder, job.source), job.target

            self._start(visitor, Run("video", finish), values)
        return described(visitor, self.queue)

    async def _settings(self, request: Request) -> dict:
        return await read_settings(request, self.limits.bodies)

    def _start(self, visitor: Visitor, run: Run, values: dict) -> None:
        """Queues a run. Its end counts as a sign of life of its visitor."""
        work = run.work

        def renewing(run: Run) -> None:
            try:
                work(run)
            finally:
                visitor.seen = time.monotonic()

        run.work = renewing
        self.queue.add(run)
        visitor.run, visitor.settings = run, values

    async def cancel(self, request: Request, visitor: Visitor | None) -> dict:
        """Stops what is waiting or running."""
        if visitor and visitor.run:
            self.queue.cancel(visitor.run)
        return described(visitor, self.queue)

    async def forget(self, request: Request, visitor: Visitor | None) -> dict:
        """Removes the visitor's files now."""
        if visitor:
            with visitor.reserved():
                await run_in_threadpool(visitor.forget)
        return await self.state(request, visitor)

    async def moment(self, request: Request, visitor: Visitor | None) -> Response:
        """A frame of the upload, to choose a preview in."""
        visitor, upload = _with_upload(visitor)
        source, number = upload.source, request.path_params["number"]
        if not 0 <= number < source.frames:
            raise Refusal(404, f"frame {number} is outside 0..{source.frames - 1}")

        def read() -> bytes:
            buffer = io.BytesIO()
            frame = next(islice(source.stream(), number, None))
            Image.fromarray(to_8_bit(frame)).save(buffer, "JPEG", quality=90)
            return buffer.getvalue()

        return Response(await self._scan(visitor, read), media_type="image/jpeg")

    async def still(self, request: Request, visitor: Visitor | None) -> Response:
        """A picture of a preview or of a result, before or after."""
        folder = {"preview": "preview", "result": "result/stills"}.get(request.path_params["of"])
        when = {"before": "before.png", "after": "after.jpg"}.get(request.path_params["when"])
        if visitor and folder and when:
            path = visitor.folder / folder / f"{request.path_params['number']:04d}_{when}"
            if await run_in_threadpool(path.is_file):
                return FileResponse(path)
        raise Refusal(404, "there is no such picture")

    async def result(self, request: Request, visitor: Visitor | None) -> Response:
        """The upscaled video; `?download` under a name of its own."""
        if visitor is None or visitor.result is None or visitor.upload is None:
            raise Refusal(404, "there is no result yet")
        if "download" not in request.query_params:
            return FileResponse(visitor.result)
        stem = visitor.upload.name.rpartition(".")[0] or "video"
        return FileResponse(visitor.result, filename=f"{stem}_upscaled{visitor.result.suffix}")

    def endpoint(self, handler: Callable) -> Callable:
        """Returns an endpoint that knows who asks, and answers mistakes in one line."""

        async def answer(request: Request) -> Response:
            visitor, name = None, ""
            if is_cross_site(request.headers):
                response: Response = JSONResponse({"error": "a request from another site"}, 403)
            else:
                visitor = self.visitors.find(request.cookies.get(cookie_name(request)))
                if visitor and visitor.upload:
                    name = visitor.upload.name
                try:
                    found = await handler(request, visitor)
                    response = found if isinstance(found, Response) else JSONResponse(found)
                except Exception as error:
                    response = error_response(error, visitor and visitor.folder, name)
            response.headers.update(PRIVATE)
            return response

        return answer


PRIVATE = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every answer to a visitor."""


def _with_upload(visitor: Visitor | None) -> tuple[Visitor, Upload]:
    if visitor is None or visitor.upload is None:
        raise Refusal(409, "there is no video yet")
    return visitor, visitor.upload


def _make(folder: Path) -> None:
    make_own_folder(folder, MARKER)


def _renew(folder: Path) -> None:
    """Makes a folder empty."""
    remove_own_folder(folder, MARKER)
    make_own_folder(folder, MARKER)
