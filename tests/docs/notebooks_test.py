"""The notebooks run from top to bottom, on the CPU, with the default model."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from uav_jax.weights.model_files import find_model

ROOT = Path(__file__).parent.parent.parent


def program(name: str, **parameters: str) -> str:
    """A notebook's code without installation, with other parameters."""
    notebook = json.loads((ROOT / "notebooks" / name).read_text())
    assert notebook["nbformat"] == 4
    parts = []
    for cell in notebook["cells"]:
        tags, text = cell["metadata"].get("tags", []), "".join(cell["source"])
        if cell["cell_type"] != "code" or "install" in tags:
            continue
        assert cell["outputs"] == [], f"{name} has outputs of some run"
        if "parameters" in tags:
            for parameter, value in parameters.items():
                text, found = re.subn(
                    rf"^{parameter} = [^#\n]*", f"{parameter} = {value}", text, flags=re.M
                )
                assert found == 1, parameter
        parts.append(text)
    return "\n".join(parts)


def run(code: str, folder: Path) -> None:
    import jax

    cache = str(jax.config.jax_compilation_cache_dir)  # pyright: ignore
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_notebook_that_upscales(tmp_path):
    run(program("upscale.ipynb"), tmp_path)
    assert len(list((tmp_path / "work" / "out").glob("*.mp4"))) == 1


@pytest.mark.slow
def test_the_notebook_that_fine_tunes(tmp_path):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    run(program("finetune.ipynb", STEPS="2", BATCH="1"), tmp_path)
    assert len(list((tmp_path / "work" / "out").glob("*.mp4"))) == 1
    mine, default = tmp_path / "work" / "mine", find_model("default").directory
    changed = {p.relative_to(mine) for p in mine.rglob("*.safetensors")}
    changed = {str(p) for p in changed if (mine / p).read_bytes() != (default / p).read_bytes()}
    assert len(changed) == 1 and "video" in changed.pop()
