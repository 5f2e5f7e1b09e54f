"""The documented Python interface: what it exports, and that its examples run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import uav_jax
from tests.clips import make_video, smooth_frames
from uav_jax.video.probe import probe

DOCUMENT = Path(__file__).parents[1] / "docs" / "api.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


def test_everything_exported_is_there_and_documented():
    assert all(getattr(uav_jax, name).__doc__ for name in uav_jax.__all__)
    assert (Path(uav_jax.__file__).parent / "py.typed").is_file()
    with pytest.raises(AttributeError, match="has no attribute 'films'"):
        _ = uav_jax.films


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, uav_jax; assert not {'jax', 'flax', 'av', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "clip.mp4", smooth_frames(5, 16, 24), range(5))
    names: dict = {}
    for example in EXAMPLES:
        exec(example, names)  # the document's own code
    assert names["result"].shape == (5, 64, 96, 3) and names["result"].dtype == np.uint8
    info = probe(names["target"])
    assert (info.frames, info.height, info.width) == (5, 32, 48)
    assert names["steady"].shape == (1, 4, 8, 12, 16)
    assert np.var(names["steady"], axis=1).mean() < np.var(names["features"], axis=1).mean()
