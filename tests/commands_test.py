"""The one entry point: every command, help, completion, the doctor."""

import pytest

from uav_jax import commands, doctor
from uav_jax.commands import COMMANDS, main


def test_help_shows_examples_and_every_command(capsys):
    assert main(["--help"]) == 0 and main([]) == 0
    said = capsys.readouterr().out
    assert said.index("examples:") < said.index("commands")
    assert all(f"  {name} " in said for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0 and "usage:" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_commands_and_options(shell, capsys):
    assert main(["completion", shell]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS) and "--noise_level" in said


def test_what_does_not_exist_is_told_with_what_does(capsys):
    assert main(["films"]) == 2 and main(["completion", "dos"]) == 2
    said = capsys.readouterr().err
    assert "unknown command 'films'; expected upscale, train" in said
    assert "shell 'dos'; expected bash" in said


def test_the_doctor_finds_devices_codecs_and_the_default_model(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "pyiqa" else True)
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "libx264" in said and "GiB a device" in said and "vae_video" in said
    assert 'pip install ".[noref]"' in said


def test_the_doctor_says_why_a_model_cannot_be_used(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert commands.main(["doctor", "--model", str(tmp_path / "absent")]) == 2
    assert "unknown model" in capsys.readouterr().out
