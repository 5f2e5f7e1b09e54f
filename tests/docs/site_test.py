"""The documentation: it builds without a warning, and what it names exists and parses."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
SCRIPTS = {
    "infer.py": "uav_jax.cli",
    "train.py": "uav_jax.training.cli",
    "evaluate.py": "uav_jax.evaluation.cli",
    "convert.py": "uav_jax.weights.cli",
}


def commands(page: Path) -> list[list[str]]:
    """Every command of the blocks without a language, in words."""
    found = []
    for block in re.findall(r"^```(?:bash|sh)?\n(.*?)^```", page.read_text(), re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split("&&"):
                try:
                    words = shlex.split(part, comments=True)
                except ValueError:
                    continue
                while words and re.match(r"[A-Z_]+=", words[0]):
                    words = words[1:]
                if words:
                    found.append(words)
    return found


ALL = [(page, words) for page in PAGES for words in commands(page)]


def module_of(words: list[str]) -> tuple[str, list[str]] | None:
    """The module whose parser reads a command of ours, and its arguments."""
    if words[0] == "uav-jax" and len(words) > 1 and words[1] != "completion":
        from uav_jax.commands import COMMANDS

        return COMMANDS[words[1]][0], words[2:]
    if words[0].startswith("python") and len(words) > 1 and words[1] in SCRIPTS:
        return SCRIPTS[words[1]], words[2:]
    return None


@pytest.mark.parametrize(
    ("page", "words"), ALL, ids=lambda v: v.name if isinstance(v, Path) else None
)
def test_commands_are_ones_that_exist(page, words):
    ours = module_of(words)
    if ours is not None:
        import_module(ours[0]).parser().parse_args(ours[1])
    elif words[:2] == ["pip", "install"]:
        extras = re.findall(r"\[(.+)\]", words[-1])
        known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        for extra in extras[0].split(",") if extras else ():
            assert extra in known["optional-dependencies"], f"{page.name}: no extra {extra!r}"
    elif words[0].startswith("python") and words[1] == "-m" and words[2].startswith("uav_jax"):
        assert (ROOT / (words[2].replace(".", "/") + ".py")).is_file() or (
            ROOT / words[2].replace(".", "/") / "__main__.py"
        ).is_file()
    elif words[0].startswith("python") and words[1].endswith(".py"):
        assert (ROOT / words[1]).is_file(), f"{page.name} names {words[1]}"


def test_most_commands_are_ones_that_the_test_understands():
    assert sum(module_of(words) is not None for _, words in ALL) >= 30


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_files_that_pages_name_exist(page):
    names = re.findall(
        r"`((?:uav_jax|configs|benchmarks|tests|docs|docker|notebooks)/[^`\s]*)`", page.read_text()
    )
    for name in names:
        assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for page in (ROOT / "docs").glob("*.md"):
        place = "index.html" if page.stem == "index" else f"{page.stem}/index.html"
        text = (tmp_path / place).read_text()
        outside = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://[^"]+"', text)
        assert [o for o in outside if "canonical" not in o] == [], "the site asks other servers"


def test_container_files_are_hadolint_clean():
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    if hadolint is None:
        pytest.skip("no hadolint for this machine")
    files = sorted(map(str, (ROOT / "docker").glob("*.Dockerfile")))
    done = subprocess.run([hadolint, *files], capture_output=True, text=True)
    assert len(files) == 3 and done.returncode == 0, done.stdout
