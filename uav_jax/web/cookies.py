"""Who may talk to the server: its own names, its own pages, and visitors by a cookie."""

from collections.abc import Iterable, Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from uav_jax.web.limits import COOKIE_SECONDS


def _is_secure(request: Request) -> bool:
    """Whether the visitor's connection, up to a reverse proxy, is TLS."""
    return request.scope.get("scheme") == "https"


def cookie_name(request: Request) -> str:
    """Returns the cookie's name for this server.

    Browsers share the cookies of a host between its ports, so the port is part of the name. Behind
    TLS the prefix `__Host-` keeps other hosts of the domain from setting the cookie.
    """
    server = request.scope.get("server") or ("", 0)
    prefix = "__Host-" if _is_secure(request) else ""
    return f"{prefix}visitor_{server[1] or 0}"


def set_cookie(request: Request, response: Response, secret: str) -> None:
    """Gives a visitor's secret to the browser, out of reach for scripts and other sites."""
    response.set_cookie(
        cookie_name(request),
        secret,
        max_age=COOKIE_SECONDS,
        secure=_is_secure(request),
        httponly=True,
        samesite="strict",
    )


def is_cross_site(headers: Mapping[str, str]) -> bool:
    """Whether a page that is not ours has sent a request.

    Args:
        headers: Of the request. Programs other than browsers send neither `Origin` nor
            `Sec-Fetch-Site`, which passes.
    """
    origin = headers.get("origin")
    if origin is not None and origin.split("://")[-1] != headers.get("host"):
        return True
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def host_without_port(header: str) -> str:
    """Returns the host of a `Host` header: `[::1]:7860` is `::1`."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


class KnownHosts:
    """Middleware that refuses requests to other host names, which DNS rebinding needs.

    Starlette's own middleware does not know IPv6 addresses in every version that we accept.

    Args:
        app: The application.
        hosts: Names and addresses by which visitors reach this server.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]):
        self.app = app
        self.hosts = {host.lower().strip("[]") for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            host = host_without_port(headers.get(b"host", b"").decode("latin-1")).lower()
            if host not in self.hosts:
                response = PlainTextResponse("this server has other names", 400)
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)
