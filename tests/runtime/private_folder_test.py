"""Folders and files that only this user can have written."""

import os
import stat

import pytest

from uav_jax.runtime import private_folder
from uav_jax.runtime.private_folder import make_private, read_private, refusal, write_private


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_has_mode_0700_and_its_files_0600(tmp_path):
    before = os.umask(0)
    try:
        assert make_private(tmp_path / "a" / "b") is None
        write_private(tmp_path / "a" / "b" / "x", b"content")
    finally:
        os.umask(before)
    assert mode(tmp_path / "a" / "b") == 0o700 and mode(tmp_path / "a" / "b" / "x") == 0o600
    assert read_private(tmp_path / "a" / "b" / "x") == b"content"
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["x"]


def test_a_folder_that_others_read_is_narrowed_one_that_they_write_is_not_trusted(tmp_path):
    tmp_path.chmod(0o755)
    assert make_private(tmp_path) is None and mode(tmp_path) == 0o700
    for writable in (0o770, 0o702):
        tmp_path.chmod(writable)
        assert f"others may write it (mode {writable:o})" in (make_private(tmp_path) or "")
        assert mode(tmp_path) == writable


def test_what_belongs_to_another_user_is_not_trusted(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"content")
    owner = os.geteuid()
    monkeypatch.setattr(private_folder.os, "geteuid", lambda: owner + 1)
    assert refusal(tmp_path) == f"it belongs to user {owner}, not to {owner + 1}"
    with pytest.raises(PermissionError, match="it belongs to user"):
        read_private(tmp_path / "x")


def test_files_that_others_write_links_and_pipes_are_not_read(tmp_path):
    write_private(tmp_path / "x", b"content")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    with pytest.raises(OSError):
        read_private(tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PermissionError, match="no regular file"):
        read_private(tmp_path / "pipe")
    (tmp_path / "x").chmod(0o622)
    with pytest.raises(PermissionError, match="others may write it"):
        read_private(tmp_path / "x")
    assert refusal(tmp_path / "x") == "it is no folder"
