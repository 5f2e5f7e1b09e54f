"""Bounds of configuration values: a configuration from a stranger's file is refused by them.

They are far above every released network and far below what would take hours or gigabytes to
build. Messages say what the value is called, what it is and what is accepted.
"""

import math
from collections.abc import Iterable
from typing import Any

MAX_CHANNELS = 8192
MAX_LEVELS = 6
MAX_LAYERS = 64


def shown(value: Any) -> str:
    """A value as it stands in a message: one line, and not long."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def check_int(name: str, value: Any, low: int, high: int) -> None:
    """Raises ``ValueError`` unless ``value`` is a whole number in ``low..high``."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} {shown(value)}; expected a whole number in {low}..{high}")


def check_ints(name: str, values: Any, length: Iterable[int], low: int, high: int) -> None:
    """Raises ``ValueError`` unless ``values`` is a tuple of one of the lengths, each in bounds."""
    lengths = list(length)
    if not isinstance(values, tuple) or len(values) not in lengths:
        counts = f"{lengths[0]}..{lengths[-1]}" if len(lengths) > 1 else f"{lengths[0]}"
        raise ValueError(f"{name} {shown(values)}; expected {counts} whole numbers")
    for value in values:
        check_int(name, value, low, high)


def check_real(name: str, value: Any, low: float, high: float) -> None:
    """Raises ``ValueError`` unless ``value`` is a finite number in ``low..high``."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{name} {shown(value)}; expected a number in {low:g}..{high:g}")


def check_bool(name: str, value: Any) -> None:
    """Raises ``ValueError`` unless ``value`` is true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} {shown(value)}; expected true or false")


def required(config: dict, network: str, names: Iterable[str]) -> None:
    """Raises ``ValueError`` where a published configuration lacks one of the names."""
    if missing := [name for name in names if name not in config]:
        raise ValueError(f"{network} config lacks {', '.join(missing)}")


def as_tuple(value: Any) -> Any:
    """JSON's lists as tuples; anything else as it is, for the checks to refuse."""
    return tuple(value) if isinstance(value, list) else value
