"""Answers to requests that cannot be done, in one line that names no path of the server."""

import logging
import re
from pathlib import Path

from starlette.responses import JSONResponse

from uav_jax.video.containers import shown

HIDDEN_PATH = "(a file of the server)"
"""What stands in a message where a path was."""

_ABSOLUTE_PATH = re.compile(
    r"(?<![\w.:/])/(?:[^\s/'\",;:()]+/)+[^\s'\",;:()]*|\b[A-Za-z]:\\[^\s'\",;]+"
)


class Refusal(Exception):
    """A request that cannot be done.

    Args:
        status: Of the response.
        message: One line that says why.
    """

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def without_paths(text: str, folder: Path | None = None, name: str = HIDDEN_PATH) -> str:
    """Removes the server's paths from a message.

    Args:
        text: The message.
        folder: A visitor's folder. Paths of files in it become `name`.
        name: What the visitor calls the file.

    Returns:
        The message without absolute paths.
    """
    name = name or HIDDEN_PATH
    for root in {str(folder), shown(folder)} if folder else ():
        text = re.sub(re.escape(root) + r"[^\s'\",;:]*", lambda _: name, text)
        text = text.replace(root, HIDDEN_PATH)
    parts = text.split(name)  # the name is the visitor's own, whatever it holds
    return name.join(_ABSOLUTE_PATH.sub(HIDDEN_PATH, part) for part in parts)


def message_of(error: Exception) -> str:
    """Returns what may be said of an error: of an `OSError` its reason, without file names."""
    if isinstance(error, OSError):
        return f"the server could not do that: {error.strerror or type(error).__name__}"
    return str(error) or f"the server could not do that: {type(error).__name__}"


def error_response(error: Exception, folder: Path | None, name: str) -> JSONResponse:
    """Returns the response to a request that failed; unexpected errors go to the log alone.

    Args:
        error: What was raised.
        folder: The visitor's folder, if there is one.
        name: What the visitor calls the uploaded file.
    """
    if isinstance(error, Refusal):
        status = error.status
    elif isinstance(error, (ValueError, OSError, MemoryError)):
        status = 400
    else:
        logging.getLogger(__name__).error("a request failed", exc_info=error)
        return JSONResponse({"error": "internal error; the server's log says what"}, 500)
    return JSONResponse({"error": without_paths(message_of(error), folder, name)}, status)
