"""Executables that are kept beside JAX's own cache."""

import os
import pickle
import stat
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from uav_jax import programs

NAME = "jax_compilation_cache_dir"
SHORTEST = "jax_persistent_cache_min_compile_time_secs"


@partial(jax.jit, static_argnames=("graph", "power"))
def raised(graph, state, x, more=(), *, power=2):
    """A program of the form of the large ones."""
    return graph * state["scale"] * x**power, more


def call(x, *more, power=2, config="a network"):
    return programs.call(raised, config, (3, {"scale": jnp.float32(2)}), (x, more), power=power)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder; JAX's own cache is asked for nothing."""
    given, using = jax.config.jax_compilation_cache_dir, jax.config.jax_enable_compilation_cache
    jax.config.update(NAME, str(tmp_path))
    jax.config.update("jax_enable_compilation_cache", False)
    monkeypatch.setattr(programs, "_ready", {})
    yield tmp_path / "executables"
    jax.config.update(NAME, given)
    jax.config.update("jax_enable_compilation_cache", using)


@pytest.fixture
def forgotten(monkeypatch):
    """As in a new process: nothing is ready, and nothing may be traced or compiled."""

    def forget():
        monkeypatch.setattr(programs, "_ready", {})
        monkeypatch.setattr(jax.stages.Lowered, "compile", lambda _: pytest.fail("compiled"))

    return forget


def test_a_later_process_loads_what_an_earlier_one_compiled(folder, forgotten):
    x, more = jnp.arange(5.0), jnp.ones(2)
    first, (same,) = call(x, more)
    (path,) = folder.iterdir()
    assert path.name.startswith("raised-")
    forgotten()
    again, (also,) = call(x, more)
    np.testing.assert_array_equal(first, 6 * np.arange(5.0) ** 2)
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(also, same)


def test_what_a_call_is_made_of_has_its_own_executable(folder, monkeypatch):
    x = jnp.arange(4.0)
    for expected, change in enumerate(
        (
            lambda: call(x),
            lambda: call(x + 1),
            lambda: call(x, power=3),
            lambda: call(x, config="another"),
            lambda: call(x[:3]),
            lambda: call(x.astype(jnp.bfloat16)),
            lambda: call(x, x),
        )
    ):
        change()
        assert len(list(folder.iterdir())) == (expected or 1)
    monkeypatch.setattr(programs, "_surroundings", lambda: "another version")
    monkeypatch.setattr(programs, "_ready", {})
    call(x)
    assert len(list(folder.iterdir())) == 7
    np.testing.assert_array_equal(call(x, power=3)[0], 6 * np.arange(4.0) ** 3)


def test_a_damaged_file_is_made_again(folder, monkeypatch):
    expected, _ = call(jnp.arange(5.0))
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", b"nothing", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        monkeypatch.setattr(programs, "_ready", {})
        np.testing.assert_array_equal(call(jnp.arange(5.0))[0], expected)
        assert len(path.read_bytes()) == len(whole)


def test_what_jax_had_in_its_cache_is_not_written_again(folder):
    lowered = raised.lower(3, {"scale": jnp.float32(2)}, jnp.arange(6.0), ())

    class FromCache:
        """A program whose compilation JAX finds in its cache."""

        __name__ = "raised"

        def lower(self, *_, **__):
            return self

        def compile(self):
            jax.monitoring.record_event("/jax/compilation_cache/cache_hits")
            return lowered.compile()

    network = (3, {"scale": jnp.float32(2)})
    made, _ = programs.call(FromCache(), "a network", network, (jnp.arange(6.0), ()))
    np.testing.assert_array_equal(made, 6 * np.arange(6.0) ** 2)
    assert not folder.exists()


def test_the_folder_does_not_grow_for_ever(folder, monkeypatch):
    monkeypatch.setattr(programs, "KEPT", 3)
    for length in range(1, 7):
        call(jnp.ones(length))
    assert len(list(folder.iterdir())) == 3


def test_without_a_folder_the_program_itself_runs(folder):
    jax.config.update(NAME, None)
    np.testing.assert_array_equal(call(jnp.arange(3.0))[0], 6 * np.arange(3.0) ** 2)
    assert not programs._ready


class Planted:
    """A pickle that shows when it is loaded."""

    loaded: ClassVar[list] = []

    def __reduce__(self):
        return Planted.loaded.append, (1,)


@pytest.mark.parametrize("who", ["a folder that others write", "a file that others write"])
def test_a_planted_executable_is_not_unpickled_and_that_is_said(who, folder, monkeypatch, caplog):
    expected, _ = call(jnp.arange(5.0))
    (path,) = folder.iterdir()
    path.write_bytes(pickle.dumps(Planted()))
    (folder if who.startswith("a folder") else path).chmod(0o777)
    programs._say_unused.cache_clear()
    monkeypatch.setattr(programs, "_ready", {})
    np.testing.assert_array_equal(call(jnp.arange(5.0))[0], expected)
    assert not Planted.loaded
    assert f"not kept in {folder}" in caplog.text and "others may write it" in caplog.text


def test_the_folder_of_executables_is_private(folder):
    call(jnp.arange(5.0))
    (path,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_default_folder_is_private_or_not_used(folder, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shortest = getattr(jax.config, SHORTEST)
    try:
        jax.config.update(NAME, None)
        programs.keep_compiled_programs()
        kept = tmp_path / "cache/uav_jax/xla"
        assert jax.config.jax_compilation_cache_dir == str(kept)
        assert stat.S_IMODE(kept.stat().st_mode) == 0o700
        jax.config.update(NAME, None)
        kept.chmod(0o777)
        programs.keep_compiled_programs()
        assert jax.config.jax_compilation_cache_dir is None
        assert f"not kept in {kept}" in caplog.text
    finally:
        jax.config.update(SHORTEST, shortest)


def test_executables_are_found_by_the_contents_of_the_package(monkeypatch, tmp_path):
    source = tmp_path / "package" / "programs.py"
    source.parent.mkdir()
    source.write_text("a = 1")
    monkeypatch.setattr(programs, "__file__", str(source))
    surroundings = programs._surroundings.__wrapped__
    before = surroundings()
    os.utime(source, (0, 0))
    assert surroundings() == before
    source.write_text("a = 2")
    os.utime(source, (0, 0))
    assert surroundings() != before
