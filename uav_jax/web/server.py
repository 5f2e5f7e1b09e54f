"""The page's server: uploads, plans, previews, runs, results. One visitor never sees another's."""

import asyncio
import io
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from pathlib import Path

from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from uav_jax.jobs.estimate import cost
from uav_jax.pipeline.upscale import Upscaler
from uav_jax.runtime.files import make_own_folder, remove_own_file, remove_own_folder
from uav_jax.video.color import to_8_bit
from uav_jax.video.probe import probe
from uav_jax.web.queue import Queue, Run
from uav_jax.web.requests import (
    UPLOAD,
    is_video_file,
    moment_from,
    options_from,
    settings_from,
    shown_name,
    suffix_of,
)
from uav_jax.web.visitors import MARKER, Upload, Visitor, Visitors
from uav_jax.web.work import job_of, preview, preview_side, still_numbers, whole

COOKIE = "visitor"
LEAST_FREE = 2**30
"""Bytes of disk that uploads leave alone."""

CLEANING_SECONDS = 60
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; form-action 'self'"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a visitor may ask for."""

    megabytes: float = 500.0  # of an upload
    seconds: float = 120.0  # of a video
    hours: float = 12.0  # that files are kept after a visitor was last seen


class Refusal(Exception):
    """A request that cannot be done, with its status and one line that says why."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def described(visitor: Visitor, queue: Queue) -> dict:
    """Everything that the page shows of a visitor."""
    upload, run = visitor.upload, visitor.run
    video = None
    if upload:
        source = upload.source
        video = {
            "name": upload.name,
            "width": source.width,
            "height": source.height,
            "frames": source.frames,
            "rate": float(source.rate),
            "seconds": source.frames / float(source.rate),
            "audio": list(source.audio_codecs),
            "square": preview_side(source),
        }
    state = None
    if run:
        state = {
            "kind": run.kind,
            "state": run.state,
            "message": run.message,
            "phases": dict(run.phases),  # the run's thread adds to it
            "before": queue.place(run),
        }
    return {
        "video": video,
        "run": state,
        "settings": visitor.settings,
        "preview": visitor.preview,
        "stills": list(visitor.stills),
        "result": visitor.result is not None,
    }


class Site:
    """The handlers, with the model, the queue and the visitors that they share."""

    def __init__(self, upscaler: Upscaler, root: Path, limits: Limits, queue: Queue):
        self.upscaler, self.limits, self.queue = upscaler, limits, queue
        self.visitors = Visitors(root, limits.hours * 3600)

    def facts(self) -> dict:
        """What the page must know of the model and the limits."""
        defaults = self.upscaler.defaults
        return {
            "defaults": {
                "noise_level": defaults.noise_level,
                "guidance_scale": defaults.guidance_scale,
                "inference_steps": defaults.inference_steps,
                "color_fix": defaults.color_fix,
            },
            "highest_noise_level": self.upscaler.unet.config.max_noise_level,
            "flow": self.upscaler.has("propagator"),
            "limits": {"megabytes": self.limits.megabytes, "seconds": self.limits.seconds},
        }

    async def state(self, request: Request, visitor: Visitor) -> dict:
        """Everything, for a page that was just opened or asks how far it is."""
        return described(visitor, self.queue) | self.facts()

    async def upload(self, request: Request, visitor: Visitor) -> dict:
        """Takes a video, the request's body, and says what it is."""
        self._refuse_second_run(visitor)
        name = shown_name(request.query_params.get("name", ""))
        suffix = suffix_of(name)
        path = visitor.folder / f"{secrets.token_hex(8)}{suffix}"
        try:
            await self._receive(request, path)
            source = await run_in_threadpool(probe, path, UPLOAD)
            seconds = source.frames / float(source.rate)
            if seconds > self.limits.seconds:
                raise ValueError(
                    f"{name} is {seconds:.0f} s long; up to {self.limits.seconds:g} s are accepted"
                )
            self._refuse_second_run(visitor)  # one may have begun meanwhile
        except Exception as error:
            remove_own_file(path)
            if isinstance(error, ValueError):  # names the file as the visitor does
                raise ValueError(str(error).replace(str(path), name)) from None
            raise
        visitor.forget(but=path)
        visitor.upload = Upload(name, source)
        return await self.state(request, visitor)

    async def _receive(self, request: Request, path: Path) -> None:
        most, size, head = self.limits.megabytes * 1e6, 0, b""
        too_large = Refusal(413, f"the file is too large; up to {self.limits.megabytes:g} MB")
        if float(request.headers.get("content-length", 0)) > most:
            raise too_large
        if shutil.disk_usage(path.parent).free < LEAST_FREE:
            raise Refusal(507, "the server's disk is full; try again later")
        with path.open("wb") as file:
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise too_large
                head = (head + chunk[:16])[:16]
                file.write(chunk)
        if not is_video_file(head):
            raise ValueError(f"{path} is not a video, whatever its name says")

    def _refuse_second_run(self, visitor: Visitor) -> None:
        if visitor.run and visitor.run.is_active:
            raise Refusal(409, "one at a time: cancel the run under way first")

    def _upload_of(self, visitor: Visitor) -> Upload:
        if visitor.upload is None:
            raise Refusal(409, "there is no video yet")
        return visitor.upload

    async def plan(self, request: Request, visitor: Visitor) -> dict:
        """What the whole video will take with these settings."""
        source, values = self._upload_of(visitor).source, await _values(request)
        settings = settings_from(values, self.upscaler.defaults)

        def estimate() -> dict:
            folder = visitor.folder / "result"
            options = options_from(values)
            job = job_of(self.upscaler, source, settings, options, folder, lambda *_: None)
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

        return await run_in_threadpool(estimate)

    async def preview(self, request: Request, visitor: Visitor) -> dict:
        """Queues a preview."""
        values = await _values(request)
        self._refuse_second_run(visitor)
        source = self._upload_of(visitor).source
        settings, moment = settings_from(values, self.upscaler.defaults), moment_from(values)
        self.upscaler.check(settings)
        folder = visitor.folder / "preview"
        remove_own_folder(folder, MARKER)
        make_own_folder(folder, MARKER)
        visitor.preview, visitor.settings = 0, values
        work = preview(self.upscaler, source, moment, settings, folder)

        def finish(run: Run) -> None:
            work(run)
            visitor.preview = len(list(folder.glob("*_after.jpg")))

        return self._start(visitor, Run("preview", finish))

    async def run(self, request: Request, visitor: Visitor) -> dict:
        """Queues the whole video."""
        values = await _values(request)
        self._refuse_second_run(visitor)
        source = self._upload_of(visitor).source
        settings = settings_from(values, self.upscaler.defaults)
        options = options_from(values)
        self.upscaler.check(settings)
        folder, found = visitor.folder / "result", []
        visitor.result, visitor.stills, visitor.settings = None, (), values
        work = whole(self.upscaler, source, settings, options, folder, found)

        def finish(run: Run) -> None:
            work(run)
            job = found[-1]
            visitor.stills, visitor.result = still_numbers(job.source.frames), job.target

        return self._start(visitor, Run("video", finish))

    def _start(self, visitor: Visitor, run: Run) -> dict:
        visitor.run = run
        self.queue.add(run)
        return described(visitor, self.queue)

    async def cancel(self, request: Request, visitor: Visitor) -> dict:
        """Stops what is waiting or running."""
        if visitor.run:
            self.queue.cancel(visitor.run)
        return described(visitor, self.queue)

    async def forget(self, request: Request, visitor: Visitor) -> dict:
        """Removes the visitor's files now."""
        self._refuse_second_run(visitor)
        visitor.forget()
        return await self.state(request, visitor)

    async def moment(self, request: Request, visitor: Visitor) -> Response:
        """A frame of the upload, to choose a preview in."""
        source = self._upload_of(visitor).source
        number = request.path_params["number"]
        if not 0 <= number < source.frames:
            raise Refusal(404, f"frame {number} is outside 0..{source.frames - 1}")

        def read() -> bytes:
            buffer = io.BytesIO()
            frame = next(islice(source.stream(), number, None))
            image = Image.fromarray(to_8_bit(frame))
            image.save(buffer, "JPEG", quality=90)
            return buffer.getvalue()

        return Response(await run_in_threadpool(read), media_type="image/jpeg")

    async def still(self, request: Request, visitor: Visitor) -> Response:
        """A picture of a preview or of a result, before or after."""
        part = {"preview": "preview", "result": "result/stills"}.get(request.path_params["of"])
        when = {"before": "before.png", "after": "after.jpg"}.get(request.path_params["when"])
        number = request.path_params["number"]
        path = visitor.folder / f"{part}" / f"{number:04d}_{when}"
        if part is None or when is None or not path.is_file():
            raise Refusal(404, "there is no such picture")
        return FileResponse(path)

    async def result(self, request: Request, visitor: Visitor) -> Response:
        """The upscaled video; ``?download`` under a name of its own."""
        if visitor.result is None or visitor.upload is None:
            raise Refusal(404, "there is no result yet")
        if "download" not in request.query_params:
            return FileResponse(visitor.result)
        stem = visitor.upload.name.rpartition(".")[0] or "video"
        return FileResponse(visitor.result, filename=f"{stem}_upscaled{visitor.result.suffix}")

    def endpoint(self, handler: Callable) -> Callable:
        """A handler for requests of visitors: knows who asks, and answers mistakes in one line."""

        async def answer(request: Request) -> Response:
            origin = request.headers.get("origin")
            if origin and origin.split("://")[-1] != request.headers.get("host"):
                return JSONResponse({"error": "a request from another site"}, 403)
            secret, visitor = self.visitors.of(request.cookies.get(COOKIE))
            try:
                made = await handler(request, visitor)
                response = made if isinstance(made, Response) else JSONResponse(made)
            except Refusal as refusal:
                response = JSONResponse({"error": str(refusal)}, refusal.status)
            except (ValueError, OSError, MemoryError) as error:
                response = JSONResponse({"error": str(error)}, 400)
            response.set_cookie(COOKIE, secret, httponly=True, samesite="strict")
            response.headers["Cache-Control"] = "no-store"
            return response

        return answer


async def _values(request: Request) -> dict:
    values = await request.json()
    if not isinstance(values, dict):
        raise ValueError(f"settings {values!r} are no object")
    return values


async def _page(request: Request) -> Response:
    page = files("uav_jax.web").joinpath("static/index.html").read_text()
    headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(page, media_type="text/html", headers=headers)


def make_app(
    upscaler: Upscaler,
    root: Path,
    *,
    limits: Limits | None = None,
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost"),
    queue: Queue | None = None,
) -> Starlette:
    """The application; files of visitors lie under ``root``, requests to other ``hosts`` fail."""
    queue = queue or Queue()
    site = Site(upscaler, root, limits or Limits(), queue)

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        async def clean() -> None:
            while True:
                await asyncio.sleep(CLEANING_SECONDS)
                await run_in_threadpool(site.visitors.remove_old)

        cleaning = asyncio.create_task(clean())
        yield
        cleaning.cancel()
        with suppress(asyncio.CancelledError):
            await cleaning
        await run_in_threadpool(queue.close)

    def api(path: str, handler: Callable, method: str) -> Route:
        return Route(f"/api/{path}", site.endpoint(handler), methods=[method])

    routes = [
        Route("/", _page),
        Mount("/static", StaticFiles(packages=[("uav_jax.web", "static")])),
        api("state", site.state, "GET"),
        api("video", site.upload, "POST"),
        api("plan", site.plan, "POST"),
        api("preview", site.preview, "POST"),
        api("run", site.run, "POST"),
        api("cancel", site.cancel, "POST"),
        api("forget", site.forget, "POST"),
        api("moment/{number:int}", site.moment, "GET"),
        api("still/{of}/{when}/{number:int}", site.still, "GET"),
        api("result", site.result, "GET"),
    ]
    trusted = Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app = Starlette(routes=routes, middleware=[trusted], lifespan=life)
    app.state.site = site
    return app
