"""Networks as pure functions of a flat ``name -> array`` dictionary."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import jax
from flax import nnx
from jaxtyping import Array

from uav_jax.weights.engine import flat_state

Network = TypeVar("Network", bound=nnx.Module)
Parameters = dict[str, Array]


@dataclass(frozen=True, slots=True)
class Functional(Generic[Network]):
    """A network's structure without its values."""

    graph: nnx.GraphDef
    state: nnx.State

    @classmethod
    def of(cls, make: Callable[..., Network]) -> "Functional[Network]":
        """From a constructor that takes ``rngs``, which is only traced."""
        return cls(*nnx.split(nnx.eval_shape(lambda: make(rngs=None))))

    def bind(self, parameters: Mapping[str, Array]) -> Network:
        """The network with these values (every variable must be given)."""

        def value(path, leaf):
            return leaf.replace(parameters[".".join(map(str, path))])

        return nnx.merge(self.graph, nnx.map_state(value, self.state))


def initialise(
    make: Callable[..., nnx.Module], seed: int, names: Container[str] | None = None
) -> Parameters:
    """Freshly drawn parameters of ``make(rngs=...)``, drawn inside one jitted program.

    With ``names`` only those; their values do not depend on which others are drawn.
    """

    @jax.jit
    def draw(key: Array) -> Parameters:
        drawn = flat_state(make(rngs=nnx.Rngs(key)))
        return {name: v[...] for name, v in drawn.items() if names is None or name in names}

    return draw(jax.random.key(seed))
