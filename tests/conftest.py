"""Fixtures that several test folders share."""

import jax
import pytest

from tests.release import write_small_release


@pytest.fixture(scope="session")
def small_release(tmp_path_factory):
    """A released directory with the golden small weights."""
    return write_small_release(tmp_path_factory.mktemp("release") / "upscale_a_video")


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """Programs that several tests compile are compiled once."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("xla")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)


LONGEST = ("mesh_test.py", "loop_test.py", "networks_test.py", "kill_test.py")
"""Files that take minutes: first, so that no worker is left alone with one at the end."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONGEST)
