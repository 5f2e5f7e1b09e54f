"""A session's folder is gone after it, however it ended."""

import signal
import subprocess
import sys

import pytest

from uav_jax.runtime.session_folder import MARKER, remove_stale_folders, session_folder

PROGRAM = """
import sys, time
from pathlib import Path
from uav_jax.runtime.session_folder import session_folder
with session_folder(Path(sys.argv[1]), "web_") as folder:
    (folder / "film.mp4").write_bytes(b"film")
    print(folder.name, flush=True)
    time.sleep(60)
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has no locks of folders")


def session(parent):
    command = [sys.executable, "-c", PROGRAM, str(parent)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_folder_is_removed_at_the_end(tmp_path):
    with session_folder(tmp_path, "web_") as folder:
        (folder / "a").mkdir()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_the_next_session_removes_what_a_kill_left_and_not_what_is_in_use(tmp_path):
    with session(tmp_path) as killed, session(tmp_path) as alive:
        try:
            left, used = (p.stdout.readline().strip() for p in (killed, alive))
            killed.send_signal(signal.SIGKILL)
            killed.wait(timeout=20)
            assert (tmp_path / left / "film.mp4").is_file()
            with session_folder(tmp_path, "web_") as mine:
                names = {path.name for path in tmp_path.iterdir()}
                assert names == {used, mine.name}
        finally:
            alive.kill()


def test_folders_of_others_stay(tmp_path):
    for name in ("web_holiday", "other_1"):
        (tmp_path / name).mkdir()
    (tmp_path / "other_1" / MARKER).touch()
    (tmp_path / "web_link").symlink_to(tmp_path / "other_1")
    assert remove_stale_folders(tmp_path, "web_") == []
    assert len(list(tmp_path.iterdir())) == 3
