"""JSON files that others may have written or cut: limited in size and depth, finite numbers."""

import json
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 20
"""A configuration takes a few kilobytes."""
OWN_BYTES = 1 << 24
"""Records and journals list scenes and segments."""
MAX_DEPTH = 16


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:30]} is too large a number")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Parsers differ in which of two values they keep, so there may be only one."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("an object has two values of one name")
    return value


def parse_json(data: bytes, where: str) -> Any:
    """Parses a JSON text.

    Args:
        data: UTF-8, as large as the caller is willing to parse.
        where: what the text is called in an error.

    Raises:
        ValueError: for anything else, with one line that names ``where``.
    """
    try:
        value = json.loads(
            data.decode(),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_unique,
        )
    except RecursionError:
        raise ValueError(f"{where} nests deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise ValueError(f"{where} is not valid JSON: {error}") from None
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    if level:
        raise ValueError(f"{where} nests deeper than {MAX_DEPTH} levels")
    return value


def parse_object(data: bytes, where: str) -> dict[str, Any]:
    """Parses the text of one JSON object.

    Raises:
        ValueError: for anything else, with one line that names ``where``.
    """
    value = parse_json(data, where)
    if not isinstance(value, dict):
        raise ValueError(f"{where} holds a {type(value).__name__}; expected a JSON object")
    return value


def read_object(path: Path, limit: int = MAX_BYTES) -> dict[str, Any]:
    """Reads a file that holds one JSON object of at most ``limit`` bytes.

    Raises:
        ValueError: where the file is missing, no regular file, too large or no JSON object.
    """
    return parse_object(_content(path, limit), str(path))


def read_json(path: Path, limit: int = OWN_BYTES) -> Any:
    """Reads a JSON file of this program. Size, depth and numbers are checked, its content is not.

    Raises:
        ValueError: where the file is missing, no regular file, too large or no JSON.
    """
    return parse_json(_content(path, limit), str(path))


def _content(path: Path, limit: int) -> bytes:
    if not path.exists():
        raise ValueError(f"{path} is missing")
    if not path.is_file():
        raise ValueError(f"{path} is no regular file")
    if (size := path.stat().st_size) > limit:
        raise ValueError(f"{path} has {size} bytes; up to {limit} are accepted")
    return path.read_bytes()
