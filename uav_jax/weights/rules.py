"""The language of weight tables: how published names and layouts map to ours, both ways.

A template is a dotted name in which ``{i}`` stands for a number, ``{layer}`` for one name without
dots and ``{path}`` for any names. The same field in source and target has the same text.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

_FIELD = re.compile(r"\\\{(\w+)\\\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Transform:
    """A reversible change of layout: PyTorch axes permuted and unit axes dropped or added."""

    axes: tuple[int, ...] | None = None  # our axis i is PyTorch's axis axes[i]
    unit_axes: int = 0  # trailing PyTorch axes of size 1 that we do not store

    def to_ours(self, value: np.ndarray) -> np.ndarray:
        """PyTorch layout to ours; ``ValueError`` if the number of axes does not fit."""
        if self.unit_axes:
            if value.shape[-self.unit_axes :] != (1,) * self.unit_axes:
                raise ValueError(f"shape {value.shape} does not end in {self.unit_axes} unit axes")
            value = value.reshape(value.shape[: -self.unit_axes])
        return value if self.axes is None else value.transpose(self.axes)

    def to_published(self, value: np.ndarray) -> np.ndarray:
        """Our layout to PyTorch's."""
        if self.axes is not None:
            value = value.transpose(np.argsort(self.axes))
        return value.reshape(value.shape + (1,) * self.unit_axes)


COPY = Transform()
LINEAR = Transform(axes=(1, 0))
CONV2D = Transform(axes=(2, 3, 1, 0))
CONV3D = Transform(axes=(2, 3, 4, 1, 0))
CONV_TIME = Transform(axes=(2, 1, 0), unit_axes=2)


@cache
def template_regex(template: str) -> re.Pattern[str]:
    """The regular expression that a template stands for."""
    kinds = {"i": r"\d+", "j": r"\d+", "path": r".+"}
    seen: set[str] = set()

    def field(match: re.Match[str]) -> str:
        name = match[1]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>{kinds.get(name, r'[^.]+')})"

    return re.compile(_FIELD.sub(field, re.escape(template)) + r"\Z")


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a weight table: published template, our template, layout."""

    source: str
    target: str
    transform: Transform = COPY

    def target_of(self, source: str) -> str | None:
        """Our name of a published one, or None where the rule does not apply."""
        match = template_regex(self.source).match(source)
        return match and self.target.format(**match.groupdict())

    def source_of(self, target: str) -> str | None:
        """The published name of one of ours, or None where the rule does not apply."""
        match = template_regex(self.target).match(target)
        return match and self.source.format(**match.groupdict())


@dataclass(frozen=True, slots=True)
class Derived:
    """A published tensor that holds no parameter of its own.

    It exists wherever a target matches ``beside``; ``value(published, name)`` rebuilds it from the
    tensors written so far. ``strict`` refuses a checkpoint whose value differs.
    """

    source: str
    beside: str
    value: Callable[[Mapping[str, np.ndarray], str], np.ndarray]
    strict: bool = False

    def matches(self, source: str) -> bool:
        """Whether a published name is of this kind."""
        return template_regex(self.source).match(source) is not None

    def source_of(self, target: str) -> str | None:
        """The published name that stands beside one of our parameters, if any."""
        match = template_regex(self.beside).match(target)
        return match and self.source.format(**match.groupdict())


@dataclass(frozen=True, slots=True)
class WeightTable:
    """Everything that maps one network's published tensors to ours."""

    rules: tuple[Rule, ...]
    derived: tuple[Derived, ...] = ()


def under(source: str, target: str, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The same rules with a prefix on both sides."""
    return tuple(Rule(source + r.source, target + r.target, r.transform) for r in rules)


def norm(name: str) -> tuple[Rule, ...]:
    """Scale and bias of a normalisation layer."""
    return (Rule(f"{name}.weight", f"{name}.scale"), Rule(f"{name}.bias", f"{name}.bias"))


def layer(name: str, transform: Transform, target: str | None = None) -> tuple[Rule, ...]:
    """Kernel and bias of a linear layer or convolution."""
    target = target or name
    return (
        Rule(f"{name}.weight", f"{target}.kernel", transform),
        Rule(f"{name}.bias", f"{target}.bias"),
    )
