"""``uav-jax web``: starts, stops, and says what is wrong."""

import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from uav_jax.runtime.session_folder import MARKER
from uav_jax.web.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "99999"], "port 99999 is outside 0..65535"),
        (["--max_mb", "-1"], "max_mb -1 is not positive"),
        (["--keep_hours", "0"], "keep_hours 0 is not positive"),
        (["--max_queue", "0"], "max_queue 0 is not positive"),
        (["--max_total_mb", "1"], "max_total_mb 1 is less than max_mb (500)"),
        (["--model", "sdxl"], "unknown model 'sdxl'"),
        (["--folder", "/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and "Traceback" not in said


def started(folder, *arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uav_jax.commands", "web", "--port", str(port)]
    command += ["--folder", str(folder), *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True), port


def first_answer(address):
    deadline = time.monotonic() + 60
    while True:
        try:
            return httpx.get(address)
        except httpx.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_the_command_serves_until_it_is_interrupted(tmp_path, clip):
    process, port = started(tmp_path)
    with process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == f"http://127.0.0.1:{port}\n"
            page = first_answer(f"http://127.0.0.1:{port}/")
            assert "Upscale a video" in page.text
            assert "default-src 'self'" in page.headers["content-security-policy"]
            assert "server" not in page.headers
            assert httpx.get(f"http://127.0.0.1:{port}/api/state").status_code == 200
            assert [p.name for p in tmp_path.glob("uav_web_*/*")] == [MARKER]
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) in (0, 130, -signal.SIGINT)
            assert list(tmp_path.iterdir()) == []
        finally:
            process.kill()


def test_neither_a_kill_nor_termination_leaves_files_behind(tmp_path, clip):
    """The server that was killed leaves its folder to the next one, here on an IPv6 address."""
    killed, port = started(tmp_path)
    with killed:
        killed.stderr.readline()
        address = f"http://127.0.0.1:{port}"
        first_answer(address)
        sent = httpx.post(f"{address}/api/video?name=a.mp4", content=clip.read_bytes())
        assert sent.status_code == 200
        killed.kill()
    assert len(list(tmp_path.glob("uav_web_*/*/*.mp4"))) == 1
    process, port = started(tmp_path, "--host", "::1")
    with process:
        try:
            assert process.stderr.readline() == f"http://[::1]:{port}\n"
            address = f"http://[::1]:{port}"
            first_answer(address)
            assert list(tmp_path.glob("uav_web_*/*/*.mp4")) == []
            headers = {"Origin": address}
            sent = httpx.post(
                f"{address}/api/video?name=a.mp4", content=clip.read_bytes(), headers=headers
            )
            assert sent.status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 128 + signal.SIGTERM
            assert list(tmp_path.iterdir()) == []
        finally:
            process.kill()
