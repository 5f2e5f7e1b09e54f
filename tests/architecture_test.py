"""The rules of the codebase's shape: who may import whom, and how long things are."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "uav_jax"
FILES = sorted(PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    "layers": {"shapes"},
    "models": {"layers", "shapes"},
    "diffusion": {"models", "layers", "motion", "programs", "shapes"},
    "motion": {"models", "layers", "shapes"},
    "metrics": {"layers", "motion", "shapes", "weights"},
    "weights": {"models", "layers", "diffusion", "shapes"},
    "io": {"shapes"},
    "data": {"io", "recipes", "shapes"},
    "pipeline": {"models", "layers", "diffusion", "motion", "programs", "weights", "shapes"},
    "compare": {"io", "shapes"},
    "jobs": {"io", "pipeline", "diffusion", "layers", "provenance", "shapes"},
    "web": {"io", "jobs", "pipeline", "programs", "shapes"},
    "evaluation": {"data", "io", "metrics", "pipeline", "provenance", "weights", "shapes"},
    "training": {
        "models",
        "layers",
        "diffusion",
        "data",
        "evaluation",
        "io",
        "metrics",
        "motion",
        "weights",
        "shapes",
        "pipeline",
        "recipes",
    },
}
MAX_LINES, MAX_FUNCTION = 400, 60
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc"}


def imports(path: Path) -> set[str]:
    """The parts of the package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {n.split(".")[1] for n in names if n.startswith("uav_jax.")}
    return found


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_imports_point_one_way(part):
    for path in (PACKAGE / part).rglob("*.py"):
        wrong = imports(path) - MAY_IMPORT[part] - {part}
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_every_part_has_a_rule():
    parts = {p.name for p in PACKAGE.iterdir() if p.is_dir() and (p / "__init__.py").is_file()}
    assert parts == set(MAY_IMPORT)


def test_models_read_no_files_and_no_environment():
    for path in (PACKAGE / "models").rglob("*.py"):
        words = {n.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Name)}
        assert not words & {"open", "os", "Path", "json"}, path


def test_only_command_lines_parse_arguments():
    allowed = {
        "cli.py",
        "packages.py",
        "text.py",
        "demo.py",
        "export.py",
        "make_targets.py",
        "preview.py",
        "__main__.py",
        "commands.py",
        "doctor.py",
        "parity.py",
    }
    for path in FILES:
        if "import argparse" in path.read_text() or "sys.argv" in path.read_text():
            assert path.name in allowed, path


def test_the_core_needs_neither_torch_nor_tensorflow():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not {a.name.split(".")[0] for a in node.names} & {"torch", "tensorflow"}
            if isinstance(node, ast.ImportFrom) and node.module:
                assert node.module.split(".")[0] not in {"torch", "tensorflow"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert path.stem not in FORBIDDEN_NAMES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= MAX_FUNCTION, f"{node.name} has {length} lines"
