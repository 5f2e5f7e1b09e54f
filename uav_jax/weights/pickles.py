"""Pickles read without executing anything: only listed names exist."""

import pickle
from collections.abc import Mapping
from typing import Any, BinaryIO


class UnsafePickleError(ValueError):
    """A pickle names something that is not on the allow-list."""


class AllowListUnpickler(pickle.Unpickler):
    """Resolves ``(module, name)`` from a table and refuses everything else."""

    def __init__(self, file: BinaryIO, allowed: Mapping[tuple[str, str], Any]):
        super().__init__(file)
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise UnsafePickleError(
                f"pickle refers to {module}.{name}, which is not on the list of types that a "
                "weight file may hold; nothing was executed"
            ) from None
