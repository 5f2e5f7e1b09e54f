"""Finished segments of a result, stored beside it so that an interrupted run resumes.

A hidden folder holds `key.json` (what the result depends on, and where its segments are cut), one
file for each finished segment with the tiles it was made with, and what its last frames hand on.
Every file appears complete or not at all.
"""

import hashlib
import json
import os
import zlib
from pathlib import Path
from zipfile import BadZipFile

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from uav_jax.jobs.outputs import publish_file
from uav_jax.provenance import hash_file
from uav_jax.runtime.files import (
    LONGEST_NAME,
    atomic_path,
    is_own_folder,
    make_own_folder,
    remove_own_folder,
    write_text,
)
from uav_jax.runtime.json_files import read_json

KEY, ENVIRONMENTS = "key.json", "environments.json"

MOST_PIXELS = 2**20
"""Of a tile's side, and of a call's windows."""

CARRY_ERRORS = (EOFError, LookupError, TypeError, ValueError, BadZipFile, zlib.error)
"""What NumPy raises at damaged files."""


def journal_folder(target: Path) -> Path:
    """Returns where the journal of a result is."""
    name = f".{target.name}.uav"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:32]}.uav"
    return target.with_name(name)


def discard(target: Path) -> None:
    """Removes what a run kept for resuming, if there is anything."""
    remove_own_folder(journal_folder(target), KEY)


class Journal:
    """The finished segments of one result.

    `resumed` says whether there were any. A folder whose key differs is emptied; `outdated` then
    says so.
    """

    def __init__(self, target: Path, key: dict, environment: dict):
        """Opens or begins a journal.

        Args:
            target: The result.
            key: What the result and its segments depend on.
            environment: What this run computes with; every different one is recorded.

        Raises:
            ValueError: A folder of the journal's name is not this program's.
        """
        self.folder = journal_folder(target)
        self.outdated = False
        known = _json(self.folder / KEY)
        if self.folder.is_dir() and is_own_folder(self.folder, KEY) and known != key:
            self.outdated = any(self.folder.glob("*.segment"))
            remove_own_folder(self.folder, KEY)
        make_own_folder(self.folder, KEY)
        if known != key:
            write_text(self.folder / KEY, json.dumps(key, indent=1, sort_keys=True) + "\n")
        self.resumed = any(self.folder.glob("*.segment"))
        self.environments = self._environments(environment)

    def _environments(self, environment: dict) -> list[dict]:
        known = _json(self.folder / ENVIRONMENTS)
        known = [k for k in known if isinstance(k, dict)] if isinstance(known, list) else []
        if environment not in known:
            known = [*known, environment]
            write_text(self.folder / ENVIRONMENTS, json.dumps(known, indent=1) + "\n")
        return known

    def layout_before(self, number: int) -> dict[str, int] | None:
        """Returns the tiles that the last finished segment before `number` was made with."""
        return next((s["tiles"] for n in range(number - 1, -1, -1) if (s := self._state(n))), None)

    def _state(self, number: int) -> dict | None:
        """What was noted of a finished segment; None where it is not finished or is damaged."""
        state = _json(self.folder / f"{number:06d}.json")
        path = self.segment(number)
        if not isinstance(state, dict) or not _is_layout(state.get("tiles")):
            return None
        if not path.is_file() or state.get("sha256") != hash_file(path):
            return None
        return state if state.get("carry_sha256") == self._carry_hash(number) else None

    def _carry_hash(self, number: int) -> str | None:
        """The hash of what a segment handed on, if it did."""
        path = self._carry_path(number)
        return hash_file(path) if path.is_file() else None

    def _carry_path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    def is_finished(self, number: int) -> bool:
        """Whether segment `number` is there, as it was written."""
        return self._state(number) is not None

    def finish(self, number: int, tiles: dict[str, int]) -> None:
        """Notes that segment `number` is written, and the tiles that it was made with."""
        state = {
            "tiles": tiles,
            "sha256": hash_file(self.segment(number)),
            "carry_sha256": self._carry_hash(number),
        }
        write_text(self.folder / f"{number:06d}.json", json.dumps(state) + "\n")

    def segment(self, number: int) -> Path:
        """Returns where segment `number` is, or will be."""
        return self.folder / f"{number:06d}.segment"

    def has_frames(self) -> bool:
        """Whether frames that were written as images are here."""
        return (self.folder / "frames").is_dir()

    def frames(self) -> Path:
        """Returns the folder of the frames that are written as images."""
        (self.folder / "frames").mkdir(exist_ok=True)
        return self.folder / "frames"

    def result(self, suffix: str) -> Path:
        """Returns where the joined result is written before it gets its name."""
        return self.folder / f"result{suffix}"

    def publish_record(self, path: Path, record: dict) -> None:
        """Writes the record of the result, through a file of the journal."""
        temporary = self.folder / "record.json"
        write_text(temporary, json.dumps(record, indent=1) + "\n")
        publish_file(temporary, path)

    def save_carry(self, number: int, scene: int, carry: dict[int, Array]) -> None:
        """Keeps what segment `number` hands on to the next."""
        values = {str(step): np.asarray(latents) for step, latents in carry.items()}
        with (
            atomic_path(self._carry_path(number)) as temporary,
            temporary.open("wb") as file,
        ):
            np.savez(file, allow_pickle=False, scene=scene, **values)

    def carry(self, number: int) -> tuple[int, dict[int, Array]]:
        """Returns what segment `number` handed on: its scene, and by step the latents of a frame.

        Raises:
            ValueError: The file is damaged.
        """
        path = self._carry_path(number)
        try:
            with path.open("rb") as file, np.load(file) as values:
                steps = {int(n): jnp.asarray(values[n]) for n in values.files if n != "scene"}
                return int(values["scene"]), steps
        except (*CARRY_ERRORS, OSError) as error:
            raise ValueError(
                f"{path} is damaged; remove the folder {self.folder} to start anew"
            ) from error


def _json(path: Path):
    """The content of a file; None where it is missing or damaged."""
    try:
        return read_json(path)
    except (FileNotFoundError, ValueError):  # a lost file system ends the run instead
        return None


def _is_layout(tiles) -> bool:
    """Whether tiles are ones that `finish` noted."""
    if not isinstance(tiles, dict) or set(tiles) != {"tile", "context", "rows_at_once"}:
        return False
    whole = all(type(n) is int and 0 <= n <= MOST_PIXELS for n in tiles.values())
    return whole and tiles["tile"] > 0 and tiles["rows_at_once"] > 0
