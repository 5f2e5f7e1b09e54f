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
    "weights": {"models", "layers", "diffusion", "runtime", "shapes"},
    "runtime": set(),
    "video": {"runtime"},
    "data": {"video", "recipes", "runtime", "shapes"},
    "pipeline": {
        "models",
        "layers",
        "diffusion",
        "motion",
        "programs",
        "runtime",
        "weights",
        "shapes",
    },
    "compare": {"video", "runtime", "shapes"},
    "jobs": {"video", "runtime", "pipeline", "diffusion", "layers", "provenance", "shapes"},
    "cli": {"jobs", "compare", "demo", "video", "pipeline", "diffusion", "programs"},
    "web": {"video", "runtime", "jobs", "pipeline", "programs", "shapes"},
    "evaluation": {
        "data",
        "jobs",
        "metrics",
        "pipeline",
        "provenance",
        "runtime",
        "video",
        "weights",
        "shapes",
    },
    "training": {
        "models",
        "layers",
        "diffusion",
        "data",
        "evaluation",
        "metrics",
        "motion",
        "runtime",
        "video",
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
        "arguments.py",
        "choices.py",
        "cli.py",
        "run.py",
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


OWNERS = (*("runtime/files.py", "runtime/private_folder.py", "jobs/outputs.py", "programs.py"),)
"""Who may rename and remove: the atomic writes, the owner of outputs, the compile caches."""

REMOVING = {"rmtree", "unlink", "rename", "renames", "replace", "rmdir", "remove", "move"}
REMOVING_MODULES = {"os", "shutil"}
"""`str.replace` and `list.remove` take other arguments: only calls on paths and modules count."""


def _is_text(node: ast.Call) -> bool:
    """Whether a call is `text.replace(a, b)` or `items.remove(x)` rather than one on a path."""
    assert isinstance(node.func, ast.Attribute)
    if node.func.attr == "replace":
        return len(node.args) == 2 and not _is_module(node.func.value)
    return node.func.attr == "remove" and not _is_module(node.func.value)


def _is_module(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in REMOVING_MODULES


def removing_calls(path: Path) -> list[str]:
    """Calls in a file that rename, replace or remove a path."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module in REMOVING_MODULES:
            found += [a.name for a in node.names if a.name in REMOVING]
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in REMOVING and not _is_text(node):
            is_variable = ast.unparse(node.func) == "leaf.replace"  # an NNX variable's value
            if not (is_variable or (node.keywords and node.func.attr == "replace")):
                found.append(f"line {node.lineno}: {node.func.attr}")
    return found


def test_only_their_owners_rename_and_remove_paths():
    for path in FILES:
        name = path.relative_to(PACKAGE).as_posix()
        if name not in OWNERS:
            assert not removing_calls(path), f"{name}: {removing_calls(path)}"


def test_the_rule_about_paths_finds_what_it_should(tmp_path):
    (tmp_path / "a.py").write_text(
        "import os, shutil\nshutil.rmtree(x)\nos.replace(a, b)\np.replace(q)\np.unlink()\n"
        "'a'.replace('b', 'c')\nlist.remove(3)\nos.remove(p)\np.rename(q)\nshutil.move(a, b)\n"
    )
    calls = [text.rpartition(" ")[2] for text in removing_calls(tmp_path / "a.py")]
    assert calls == ["rmtree", "replace", "replace", "unlink", "remove", "rename", "move"]


def test_only_one_module_opens_media_files():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            opens = isinstance(node, ast.Attribute) and ast.unparse(node) == "av.open"
            assert not opens or path.name == "containers.py", path


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
