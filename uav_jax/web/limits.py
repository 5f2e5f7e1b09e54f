"""Limits of the page's server, as in `docs/security.md`; options of `uav-jax web` set some."""

from dataclasses import dataclass, field

MAX_STEPS = 50
"""Denoising steps that the form offers (`max` of `#inference_steps` in `static/index.html`)."""

MAX_NUMBER = 1e9
"""Largest magnitude of a number in a request."""

MAX_TEXT = 500
"""Characters of a text in a request, a prompt for example."""

COOKIE_SECONDS = 30 * 24 * 3600
"""How long a browser keeps the cookie. Longer than `Limits.hours`, which a run may outlast."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionLimits:
    """Limits of connections, held by `web/connections.py` before a request is understood.

    Attributes:
        connections: Open at once. One more closes the slowest sender.
        head_seconds: For the request line and headers.
        linger_seconds: For the rest of a body whose request was answered already.
        write_seconds: For the client to take the next 64 KiB of an answer.
    """

    connections: int = 200
    head_seconds: float = 10.0
    linger_seconds: float = 10.0
    write_seconds: float = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyLimits:
    """Limits of request bodies, held by `web/bodies.py` while they arrive.

    Attributes:
        json_bytes: Of a JSON body.
        json_seconds: For all of a JSON body.
        silence_seconds: Between two pieces of an upload.
        bytes_per_second: Least average speed of an upload once it lasts `grace_seconds`.
        grace_seconds: See `bytes_per_second`.
    """

    json_bytes: int = 64 * 1024
    json_seconds: float = 10.0
    silence_seconds: float = 15.0
    bytes_per_second: float = 16e3
    grace_seconds: float = 15.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a visitor, and all of them together, may use.

    Attributes:
        megabytes: Of an upload.
        seconds: Of a video.
        hours: That files are kept after a visitor was last seen or a run ended.
        total_megabytes: Of all files of a visitor: uploads, previews, results.
        free_bytes: Of the disk that are left alone.
        visitors: With files on the server at once.
        queued_runs: Previews and videos that wait.
        scans: Threads that read uploads outside of runs.
        queued_scans: Uploads, plans and frames that wait for such a thread.
        scans_of_one: Of them, those of one visitor.
        bodies: See `BodyLimits`.
    """

    megabytes: float = 500.0
    seconds: float = 120.0
    hours: float = 12.0
    total_megabytes: float = 2000.0
    free_bytes: int = 2**30
    visitors: int = 1000
    queued_runs: int = 32
    scans: int = 2
    queued_scans: int = 16
    scans_of_one: int = 4
    bodies: BodyLimits = field(default_factory=BodyLimits)

    def __post_init__(self) -> None:
        for name in ("megabytes", "seconds", "hours", "total_megabytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} {getattr(self, name):g} is not positive")
        if self.total_megabytes < self.megabytes:
            raise ValueError(
                f"total_megabytes {self.total_megabytes:g} is less than one upload may have "
                f"({self.megabytes:g}); give at least that"
            )
