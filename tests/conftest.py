"""Fixtures that several test folders share."""

import shutil

import jax
import pytest

from tests.cases import make_cases
from tests.release import write_small_release


@pytest.fixture(scope="session")
def cases(tmp_path_factory):
    """A folder of awkward files; see `tests/cases.py`. Read only."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg to make awkward files")
    return make_cases(tmp_path_factory.mktemp("cases"))


@pytest.fixture(scope="session")
def small_release(tmp_path_factory):
    """A released directory with the golden small weights."""
    return write_small_release(tmp_path_factory.mktemp("release") / "upscale_a_video")


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """Programs that several tests compile are compiled once."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("xla")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)


LONGEST = (
    "training/decoder_test.py",
    "parity/training_test.py",
    "training/loop_test.py",
    "training/mesh_test.py",
    "pipeline/upscale_test.py",
    "jobs/video_test.py",
    "parity/pipeline_test.py",
    "training/kill_test.py",
    "parity/networks_test.py",
    "pipeline/devices_test.py",
)
"""Files that take minutes: first, so that no worker is left alone with one at the end."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONGEST))
