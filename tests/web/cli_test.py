"""``uav-jax web``: starts, stops, and says what is wrong."""

import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from uav_jax.web.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "99999"], "port 99999 is outside 0..65535"),
        (["--max_mb", "-1"], "max_mb -1 is not positive"),
        (["--keep_hours", "0"], "keep_hours 0 is not positive"),
        (["--model", "sdxl"], "unknown model 'sdxl'"),
        (["--folder", "/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and "Traceback" not in said


def test_the_command_serves_until_it_is_interrupted(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uav_jax.commands", "web", "--port", str(port)]
    command += ["--folder", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == f"http://127.0.0.1:{port}\n"
            deadline = time.monotonic() + 60
            while True:
                try:
                    page = httpx.get(f"http://127.0.0.1:{port}/")
                    break
                except httpx.ConnectError:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            assert "Upscale a video" in page.text
            assert "default-src 'self'" in page.headers["content-security-policy"]
            assert httpx.get(f"http://127.0.0.1:{port}/api/state").status_code == 200
            assert list(tmp_path.glob("uav_web_*/*"))
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) in (0, 130, -signal.SIGINT)
            assert list(tmp_path.iterdir()) == []
        finally:
            process.kill()
