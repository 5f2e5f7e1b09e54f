"""The command line with a stub in place of the model."""

from dataclasses import dataclass

import pytest

from tests.stub import stub_upscaler
from uav_jax.cli import main
from uav_jax.cli import run as module


@dataclass
class Said:
    """How a command ended, and its lines on the terminal."""

    status: int
    lines: list[str]

    @property
    def last(self) -> str:
        return self.lines[-1] if self.lines else ""

    def __contains__(self, text: str) -> bool:
        return any(text in line for line in self.lines)


@pytest.fixture
def infer(monkeypatch, capfd):
    """Runs `infer.py` with short names of results (`clip_n0_g1_s1.mp4`)."""
    stub = stub_upscaler()
    monkeypatch.setattr(module.Upscaler, "from_pretrained", lambda *_, **__: stub)

    def run(*arguments) -> Said:
        capfd.readouterr()
        status = main([*map(str, arguments), "-n", "0", "-g", "1", "-s", "1"])
        said = Said(status, capfd.readouterr().err.splitlines())
        assert not any("Traceback" in line for line in said.lines), said.lines
        return said

    return run
