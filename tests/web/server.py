"""A server on a free port, with the default model, for the tests of the page."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from uav_jax.web.queue import Queue
from uav_jax.web.server import Limits, Site, make_app

LIMITS = Limits(megabytes=1.0, seconds=3.0)


@contextmanager
def serving(upscaler, root: Path, turn: float = 60.0) -> Iterator[tuple[str, Site]]:
    """The address of a server that runs meanwhile, and what it shares."""
    app = make_app(upscaler, root, limits=LIMITS, queue=Queue(turn))
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=5)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the server did not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", app.state.site
    server.should_exit = True
    thread.join(timeout=60)
    assert not thread.is_alive()
