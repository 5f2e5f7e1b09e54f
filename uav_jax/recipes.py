"""Recipes: Python files whose ``config()`` returns a configuration; changes to single fields."""

import ast
import importlib.util
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any


def load_recipe(path: Path) -> Any:
    """The configuration that a recipe's ``config()`` returns; ``ValueError`` if it has none."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ValueError(f"recipe {path} does not exist; see configs/ for those that do")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "config"):
        raise ValueError(f"recipe {path} has no function config() that returns a configuration")
    return module.config()


def override(config: Any, assignment: str) -> Any:
    """``config`` with one field changed by ``a.b=value``; ``ValueError`` for unknown fields."""
    name, _, text = assignment.partition("=")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    return _with_field(config, name.split("."), value, name)


def _with_field(config, path: list[str], value, name: str):
    if not is_dataclass(config) or path[0] not in config.__dataclass_fields__:
        known = ", ".join(config.__dataclass_fields__) if is_dataclass(config) else "none"
        raise ValueError(f"no config field {name!r}; fields here: {known}")
    if len(path) > 1:
        value = _with_field(getattr(config, path[0]), path[1:], value, name)
    return replace(config, **{path[0]: value})  # pyright: ignore
