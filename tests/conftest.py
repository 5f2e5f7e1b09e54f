"""Fixtures that several test folders share."""

import os
import re
import shutil
from pathlib import Path

import jax
import pytest

from tests.cases import make_cases
from tests.release import write_small_release, write_tiny_release
from uav_jax import programs

FLAGS = "--xla_backend_optimization_level=1"
"""Most of the suite's time is compiling: programs that run a few times need little optimisation.
The longer forms (``-m full`` and ``-m slow``) run what users run."""


def pytest_configure(config):
    flags = os.environ.get("XLA_FLAGS", "")
    if "not slow" in config.option.markexpr and FLAGS not in flags:
        os.environ["XLA_FLAGS"] = f"{FLAGS} {flags}".strip()


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


@pytest.fixture(scope="session")
def tiny_release(small_release, tmp_path_factory):
    """A released directory with fewer layers, for tests in which the numbers are no oracle."""
    return write_tiny_release(small_release, tmp_path_factory.mktemp("release") / "tiny")


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """Programs that several tests, workers or their processes compile are compiled once."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "xla"
    folder.mkdir(exist_ok=True, mode=0o700)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "1.0"
    os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"] = str(2**34)  # makes JAX lock what it writes
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", 2**34)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)


MOST_MEMORY = 3 * 2**20
"""KiB of a worker above which compiled programs are released at the end of a file."""


@pytest.fixture(scope="module", autouse=True)
def released_programs():
    """Two workers have to fit into a small machine beside the processes that tests start."""
    yield
    status = Path("/proc/self/status")
    text = status.read_text() if status.is_file() else ""
    resident = re.search(r"VmRSS:\s*(\d+)", text)
    if resident and int(resident[1]) > MOST_MEMORY:
        programs._ready.clear()
        jax.clear_caches()


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
