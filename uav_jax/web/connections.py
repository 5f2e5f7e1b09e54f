"""Connections that send or take their data too slowly are closed (Slowloris and its kin).

uvicorn limits how long an idle connection is kept and how large a request's head is, but not how
slowly a head may arrive, nor how slowly an answer is taken. Its protocol for h11 has a method for
each event of a connection, and the class here adds a clock to them. Bodies have their clock in
`web/bodies.py`.
"""

import asyncio
from typing import ClassVar

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from uav_jax.web.limits import ConnectionLimits

KEEP_ALIVE_SECONDS = 5
"""That a connection may be idle between two requests."""

HEAD_BYTES = 16 * 1024
"""Of a request line and headers."""

SHUTDOWN_SECONDS = 5
"""That answers under way may take when the server stops."""

YOUNG_SECONDS = 1.0
"""Connections are not measured before this age."""


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with deadlines, and a number of connections that is kept."""

    limits: ClassVar[ConnectionLimits] = ConnectionLimits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Makes room for the connection and expects the head of a request."""
        super().connection_made(transport)
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_of: object = None  # the h11 state for which it was set
        self._write_deadline: asyncio.TimerHandle | None = None
        self._received, self._since = 0, self.loop.time()
        if len(self.connections) > self.limits.connections:
            self._close_slowest()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Counts what arrives."""
        self._received += len(data)
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Expects the rest of the body, or the next request."""
        self._received, self._since = 0, self.loop.time()
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks."""
        super().connection_lost(exc)
        self._set_deadline(None)
        self.resume_writing()

    def pause_writing(self) -> None:
        """Begins to wait for the client to take what was written."""
        super().pause_writing()
        if self._write_deadline is None:
            seconds = self.limits.write_seconds
            self._write_deadline = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Ends that wait."""
        super().resume_writing()
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None

    @property
    def is_receiving(self) -> bool:
        """Whether the client has yet to send something: a head or the rest of a body."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _watch(self) -> None:
        """Sets the deadline of what the client has to do next."""
        state = self.conn.their_state
        is_idle = self.timeout_keep_alive_task is not None  # uvicorn's clock runs
        is_answered = self.cycle is not None and self.cycle.response_complete
        if self.transport.is_closing():
            self._set_deadline(None)
        elif state is h11.IDLE and not is_idle:
            self._set_deadline(self.limits.head_seconds, state)
        elif state is h11.SEND_BODY and is_answered:
            self._set_deadline(self.limits.linger_seconds, state)
        else:
            self._set_deadline(None)

    def _set_deadline(self, seconds: float | None, of: object = None) -> None:
        """Closes the connection in some seconds. A deadline for the same state is left running."""
        if self._deadline is not None and self._deadline_of is not of:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None and self._deadline is None:
            self._deadline = self.loop.call_later(seconds, self.transport.abort)
            self._deadline_of = of

    def _close_slowest(self) -> None:
        """Closes the connection that has sent least for its age; those being answered stay."""
        receiving = [c for c in self.connections if isinstance(c, TimedProtocol) and c.is_receiving]
        slowest = min(receiving, key=lambda c: c._priority(self.loop.time()))
        slowest.transport.abort()
        self.connections.discard(slowest)

    def _priority(self, now: float) -> tuple[bool, float]:
        """Lower is closed first: slow ones, then the oldest of the young ones."""
        age = now - self._since
        is_young = age < YOUNG_SECONDS
        return is_young, -age if is_young else self._received / age


def server_config(
    app, host: str, port: int, limits: ConnectionLimits | None = None
) -> uvicorn.Config:
    """Returns how uvicorn serves the page.

    Args:
        app: What `make_app` returned.
        host: The address to listen on.
        port: 0 for a free one.
        limits: Of connections.
    """
    limits = limits or ConnectionLimits()
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=type("Protocol", (TimedProtocol,), {"limits": limits}),
        ws="none",
        log_level="error",
        server_header=False,
        h11_max_incomplete_event_size=HEAD_BYTES,
        limit_concurrency=2 * limits.connections,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
