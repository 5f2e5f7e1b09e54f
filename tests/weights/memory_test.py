"""Converting the released U-Net needs less than twice its file's size in memory."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.parity import golden as g
from tests.release import write_small_release
from uav_jax.weights.torch_file import write_torch

ROOT = Path(__file__).parents[2]

# VmHWM belongs to this process alone; ru_maxrss would start at the peak of pytest, its parent.
CONVERT = """
import sys
from convert import main
status = main(sys.argv[1:])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
sys.exit(status)
"""


def value(name: str, shape) -> np.ndarray:
    if name.endswith("freqs"):  # one tensor under many names
        return np.ones(shape, np.float32)
    return np.random.default_rng(len(name)).standard_normal(shape, np.float32)


@pytest.mark.full
def test_peak_memory_of_converting_the_released_unet(tmp_path):
    release = write_small_release(tmp_path / "release")
    full = g.load_json("full_checkpoints.json")
    names = full["state_dicts"]["unet"]
    path = release / "unet" / "unet_video.bin"
    write_torch(path, {name: value(name, shape) for name, shape in names.items()})
    (release / "unet" / "unet_video_config.json").write_text(json.dumps(full["configs"]["unet"]))
    command = [sys.executable, "-c", CONVERT, str(release), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    size = path.stat().st_size
    shutil.rmtree(tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 2 * size
