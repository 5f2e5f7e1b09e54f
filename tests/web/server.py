"""Servers for the tests of the page: in a thread with a model, or as a process with a stub."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from uav_jax.web import site as site_module
from uav_jax.web.connections import server_config
from uav_jax.web.limits import BodyLimits, ConnectionLimits, Limits
from uav_jax.web.queue import Queue
from uav_jax.web.server import make_app
from uav_jax.web.site import Site

LIMITS = Limits(megabytes=1.0, seconds=3.0)

SECONDS = 2.0
"""Time-outs of the server under attack."""

ATTACKED = Limits(
    megabytes=20.0,
    seconds=3.0,
    bodies=BodyLimits(json_seconds=SECONDS, silence_seconds=SECONDS, grace_seconds=SECONDS),
)
ATTACKED_CONNECTIONS = ConnectionLimits(
    connections=60, head_seconds=SECONDS, linger_seconds=1.0, write_seconds=SECONDS
)
SLOW = b"takes long to read"
"""Content of a file that stands for one with an expensive decoder."""


@contextmanager
def serving(
    upscaler, root: Path, turn: float = 60.0, limits: Limits = LIMITS
) -> Iterator[tuple[str, Site]]:
    """The address of a server that runs meanwhile, and what it shares."""
    app = make_app(upscaler, root, limits=limits, queue=Queue(turn))
    server = uvicorn.Server(server_config(app, "127.0.0.1", 0))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the server did not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", app.state.site
    finally:
        server.should_exit = True
        thread.join(timeout=60)
    assert not thread.is_alive()


def serve_stub(root: Path) -> None:
    """Serves the stub model until a signal comes, and prints the port."""
    from tests.stub import stub_upscaler

    real_probe = site_module.probe

    def probe(path, options):
        if SLOW in path.read_bytes()[:100]:
            time.sleep(0.3)
        return real_probe(path, options)

    site_module.probe = probe
    app = make_app(stub_upscaler(), root, limits=ATTACKED)
    server = uvicorn.Server(server_config(app, "127.0.0.1", 0, ATTACKED_CONNECTIONS))

    def tell() -> None:
        while not server.started:
            time.sleep(0.02)
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)

    threading.Thread(target=tell, daemon=True).start()
    server.run()


if __name__ == "__main__":
    serve_stub(Path(sys.argv[1]))
