"""The page's application: routes, headers, and what happens when the server starts and stops."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from uav_jax.pipeline.upscale import Upscaler
from uav_jax.web.cookies import KnownHosts
from uav_jax.web.limits import Limits
from uav_jax.web.queue import Queue
from uav_jax.web.site import Site

CLEANING_SECONDS = 60
"""Between two looks for visitors who left."""

POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; form-action 'self'; "
    "base-uri 'none'; object-src 'none'"
)
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


async def _page(request: Request) -> Response:
    page = files("uav_jax.web").joinpath("static/index.html").read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
    return Response(page, media_type="text/html", headers=headers)


async def _clean(site: Site) -> None:
    """Removes visitors who left, again and again."""
    while True:
        await asyncio.sleep(CLEANING_SECONDS)
        try:
            await run_in_threadpool(site.visitors.remove_old)
        except OSError:
            logging.getLogger(__name__).exception("files of visitors who left were not removed")


def _routes(site: Site) -> list[Route | Mount]:
    def api(path: str, handler: Callable, method: str) -> Route:
        return Route(f"/api/{path}", site.endpoint(handler), methods=[method])

    return [
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


def make_app(
    upscaler: Upscaler,
    root: Path,
    *,
    limits: Limits | None = None,
    hosts: tuple[str, ...] = LOCAL_HOSTS,
    queue: Queue | None = None,
) -> Starlette:
    """Returns the application of the page.

    Args:
        upscaler: The model.
        root: Folder for visitors' files, which are removed when the application stops.
        limits: What visitors may use.
        hosts: Names and addresses of the server; requests to others are refused.
        queue: Of the runs.
    """
    limits = limits or Limits()
    queue = queue or Queue(limit=limits.queued_runs)
    site = Site(upscaler, root, limits, queue)

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        cleaning = asyncio.create_task(_clean(site))
        try:
            yield
        finally:
            cleaning.cancel()
            with suppress(asyncio.CancelledError):
                await cleaning
            site.scans.close()
            await run_in_threadpool(queue.close)
            await run_in_threadpool(site.visitors.remove_all)

    known_hosts = Middleware(KnownHosts, hosts=hosts)
    app = Starlette(routes=_routes(site), middleware=[known_hosts], lifespan=life)
    app.state.site = site
    return app
