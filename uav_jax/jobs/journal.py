"""What is done of a result, kept beside where it will be, so that a killed run goes on.

A hidden folder holds ``key.json`` (everything that the result depends on), one file for each
finished segment, and what its last frames hand on. Every file appears whole or not at all.
"""

import json
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

KEY = "key.json"


def journal_folder(target: Path) -> Path:
    """Where the journal of a result is."""
    return target.with_name(f".{target.name}.uav")


def is_begun(target: Path, key: dict) -> bool:
    """Whether a run with this key was begun and not finished."""
    return _text(journal_folder(target) / KEY) == _key_text(key)


def discard(target: Path) -> None:
    """Removes what a run kept for going on, if there is anything."""
    shutil.rmtree(journal_folder(target), ignore_errors=True)


def _key_text(key: dict) -> str:
    return json.dumps(key, indent=1, sort_keys=True) + "\n"


class Journal:
    """The finished segments of one result. ``resumed`` says whether there were any to go on from.

    A folder whose key differs is emptied; ``outdated`` then says so.
    """

    def __init__(self, target: Path, key: dict):
        self.folder = journal_folder(target)
        self.outdated = False
        text = _key_text(key)
        if self.folder.is_dir() and _text(self.folder / KEY) != text:
            self.outdated = any(self.folder.glob("*.segment"))
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / KEY).is_file():
            temporary = self.folder / f".{KEY}"
            temporary.write_text(text)
            temporary.replace(self.folder / KEY)
        self.resumed = any(self.folder.glob("*.segment"))

    def layout(self, planned: dict) -> dict:
        """The tiles that the segments so far were made with; the ``planned`` ones if none were."""
        path = self.folder / "layout.json"
        if not path.is_file():
            temporary = self.folder / ".layout.json"
            temporary.write_text(json.dumps(planned))
            temporary.replace(path)
        return json.loads(path.read_text())

    def segment(self, number: int) -> Path:
        """Where segment ``number`` is, or will be."""
        return self.folder / f"{number:06d}.segment"

    def has_frames(self) -> bool:
        """Whether frames that were written as images are here."""
        return (self.folder / "frames").is_dir()

    def frames(self) -> Path:
        """The folder of the frames that are written as images."""
        (self.folder / "frames").mkdir(exist_ok=True)
        return self.folder / "frames"

    def save_carried(self, number: int, scene: int, carried: dict[int, Array]) -> None:
        """Keeps what segment ``number`` hands on to the next."""
        temporary = self.folder / f".{number:06d}.npz"
        values = {str(step): np.asarray(latents) for step, latents in carried.items()}
        np.savez(temporary, allow_pickle=False, scene=scene, **values)
        temporary.replace(self.folder / f"{number:06d}.npz")

    def carried(self, number: int) -> tuple[int, dict[int, Array]]:
        """What segment ``number`` handed on: its scene, and by step the latents of a frame."""
        with np.load(self.folder / f"{number:06d}.npz") as values:
            steps = {
                int(name): jnp.asarray(values[name]) for name in values.files if name != "scene"
            }
            return int(values["scene"]), steps


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
