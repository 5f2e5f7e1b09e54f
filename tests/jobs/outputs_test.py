"""Nothing of the user's is ever removed or replaced, whatever the files and the command.

A few hundred random trees here; 20,000 with
``pytest -m slow -n 0 tests/jobs/outputs_test.py`` (`UAV_TREES`).
"""

import io
import os
import shutil
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.clips import make_video, smooth_frames
from tests.stub import stub_upscaler
from uav_jax.cli import main
from uav_jax.cli import run as module
from uav_jax.jobs.outputs import (
    FRAMES_MARKER,
    Outputs,
    Sources,
    check_outputs,
    is_result,
    publish_frames,
    record_path,
)

TREES, MANY_TREES = 500, int(os.environ.get("UAV_TREES", "20000"))


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """Bytes of files that users have, by suffix."""
    folder = tmp_path_factory.mktemp("media")
    frames = smooth_frames(2, 8, 8)
    for suffix in (".mp4", ".mkv", ".mov"):
        make_video(folder / f"a{suffix}", frames, range(2))
    for suffix in (".png", ".jpg"):
        Image.fromarray(frames[0]).save(folder / f"a{suffix}")
    found = {p.suffix: p.read_bytes() for p in folder.iterdir()}
    return found | {".txt": b"a note", ".json": b'{"mine": true}', ".html": b"<p>mine", "": b"x"}


SOURCES = ("a.mp4", "in/a.mp4", "in/b.mkv", "in/a.mov", "shot/0001.png", "shot/0002.png")
"""What most commands name; of each tree a few."""

STEMS = ("a", "b", "A", "shot", "a_n0_g1_s1", "shot_n0_g1_s1", "0001", "summary", ".a.uav")
SUFFIXES = (".mp4", ".mkv", ".png", ".txt", ".json", "", ".mp4.json", ".png.json", ".html")
NEAR = (
    *(
        f"{folder}{name}"
        for folder in ("out/", "in/", "")
        for name in (
            "a_n0_g1_s1.mp4",
            "a_n0_g1_s1.mp4.json",
            "a_n0_g1_s1/0001.png",
            "a_n0_g1_s1/notes.txt",
            "a_n0_g1_s1_compare.html",
            "a_n0_g1_s1_compare.mp4",
            "summary.json",
            "shot.mp4",
            ".a_n0_g1_s1.mp4.uav/mine.txt",
            "shot_n0_g1_s1.mp4",
            "shot_n0_g1_s1/0002.png",
            "a.png",
        )
    ),
    *("b.mp4", "b.mp4.json", "b/0001.png", "b_compare.mp4", ".b.mp4.uav/key.txt", "shot.mp4.json"),
)
"""Files of the user's that have, or nearly have, the names of results."""
FOLDERS = ("", "in", "out", "in/shot", "shot", "out/a_n0_g1_s1", ".a_n0_g1_s1.mp4.uav")

anywhere = st.tuples(
    st.sampled_from(FOLDERS), st.sampled_from(STEMS), st.sampled_from(SUFFIXES)
).map(lambda parts: f"{parts[0]}/{parts[1]}{parts[2]}".lstrip("/"))
files = st.one_of(st.sampled_from(NEAR), anywhere)
trees = st.tuples(st.sets(st.sampled_from(SOURCES), min_size=2), st.lists(files, max_size=6)).map(
    lambda parts: [*sorted(parts[0]), *parts[1]]
)
inputs = st.sampled_from(("a.mp4", "in", "shot", "in/a.mp4", "link", "", "shot/0001.png", "*.mp4"))
outputs = st.sampled_from(
    (
        *(
            "out",
            "out",
            "",
            "in",
            "shot",
            "b.mp4",
            "a.mp4",
            "in/a.mp4",
            "shot.mp4",
            "A.mp4",
            "b.mkv",
        ),
        *(
            "a.png",
            "in/../a.mp4",
            "link",
            "shot/out",
            "a_n0_g1_s1.mp4",
            "in/a_n0_g1_s1.mp4",
            "b.png",
        ),
    )
)
options = st.lists(
    st.sampled_from(
        (
            *(("--overwrite",), ("--overwrite",), ("--save_image",), ("--codec", "png"), ("-r",)),
            *(("--kind", "videos"), ("--kind", "frames"), ("--kind", "images"), ("--compare",)),
            *(("--scale", "2"), ("--save_suffix", "x"), ("--from", "#1"), ("--plan",)),
        )
    ),
    max_size=3,
    unique=True,
)


def grow(root: Path, tree, media: dict[str, bytes]) -> None:
    """Writes a random tree of a user's files."""
    for name in tree:
        path = root / name
        if any(p.is_file() for p in path.parents) or path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(media.get(path.suffix, media[".json"]))
    files = [p for p in root.rglob("*.mp4") if p.is_file()]
    if files:
        (root / "link").symlink_to(files[0])


def content(root: Path) -> dict[str, bytes | str]:
    """Everything below a folder: bytes of files, targets of links."""
    found: dict[str, bytes | str] = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def run(root: Path, source: str, output: str, more) -> int:
    arguments = ["-i", str(root / source), "-o", str(root / output)]
    arguments += [word for option in more for word in option]
    with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        return main([*arguments, "-n", "0", "-g", "1", "-s", "1"])


def check_tree(tree, commands, media) -> None:
    """Runs commands and asserts that what was there before them is unchanged."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        grow(root, tree, media)
        before = content(root)
        named = set()
        for source, output, more in commands:
            target = root / output
            if ("--overwrite",) in more and not target.is_symlink() and target.is_file():
                same = (root / source).is_file() and target.samefile(root / source)
                named |= set() if same else {str(target.resolve().relative_to(root.resolve()))}
            run(root, source, output, more)
        after = content(root)
        for path, data in before.items():
            if path not in named:
                assert after.get(path) == data, (path, commands)
            else:
                assert path in after, (path, commands)


commands = st.lists(st.tuples(inputs, outputs, options), min_size=1, max_size=2)


@pytest.fixture
def stub(monkeypatch):
    model = stub_upscaler()
    monkeypatch.setattr(module.Upscaler, "from_pretrained", lambda *_, **__: model)
    monkeypatch.setattr(module, "keep_compiled_programs", lambda: None)
    monkeypatch.setattr("uav_jax.jobs.estimate.describe", lambda *_: "a plan")


CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=TREES, deadline=None, suppress_health_check=CHECKS, database=None)
@given(tree=trees, commands=commands)
@example(tree=["a.mp4"], commands=[("a.mp4", "a.mp4", [("--overwrite",)])])
@example(tree=["a.mp4"], commands=[("link", "a.mp4", [("--overwrite",)])])
@example(tree=["shot/0001.png"], commands=[("shot", "shot.mp4", [("--save_image",)])])
def test_no_command_changes_what_was_there(stub, media, tree, commands):
    check_tree(tree, commands, media)


@pytest.mark.slow
@pytest.mark.timeout(3 * 3600)
@settings(max_examples=MANY_TREES, deadline=None, suppress_health_check=CHECKS, database=None)
@given(tree=trees, commands=commands)
def test_no_command_of_very_many_changes_what_was_there(stub, media, tree, commands):
    check_tree(tree, commands, media)


def test_the_named_file_is_replaced_only_with_overwrite_and_only_once_done(stub, media, tmp_path):
    (tmp_path / "a.mp4").write_bytes(media[".mp4"])
    (tmp_path / "mine.mp4").write_bytes(b"precious")
    assert run(tmp_path, "a.mp4", "mine.mp4", []) == 2
    assert (tmp_path / "mine.mp4").read_bytes() == b"precious"
    assert run(tmp_path, "a.mp4", "mine.mp4", [("--overwrite",)]) == 0
    assert is_result(tmp_path / "mine.mp4")


def test_a_folder_of_frames_with_something_of_the_user_s_in_it_stays(stub, media, tmp_path):
    (tmp_path / "a.mp4").write_bytes(media[".mp4"])
    assert run(tmp_path, "a.mp4", "out", [("--codec", "png")]) == 0
    folder = tmp_path / "out" / "a_n0_g1_s1"
    assert is_result(folder) and (folder / FRAMES_MARKER).read_text() == "2\n"
    (folder / "notes.txt").write_text("mine")
    assert run(tmp_path, "a.mp4", "out", [("--codec", "png"), ("--overwrite",)]) == 2
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "notes.txt").unlink()
    assert run(tmp_path, "a.mp4", "out", [("--codec", "png"), ("--overwrite",)]) == 0


def test_fewer_frames_replace_more(tmp_path):
    for count, level in ((3, 10), (1, 20)):
        made = tmp_path / "made"
        made.mkdir()
        for number in range(1, count + 1):
            Image.fromarray(np.full((2, 2, 3), level, np.uint8)).save(made / f"{number:04d}.png")
        publish_frames(made, tmp_path / "frames", count)
    assert [p.name for p in (tmp_path / "frames").glob("*.png")] == ["0001.png"]


def test_what_appears_meanwhile_is_not_replaced(stub, media, tmp_path, monkeypatch):
    from uav_jax.jobs import video

    (tmp_path / "a.mp4").write_bytes(media[".mp4"])
    real = video.join

    def slow(*arguments, **options):
        (tmp_path / "b.mp4").write_bytes(b"precious")
        real(*arguments, **options)

    monkeypatch.setattr(video, "join", slow)
    assert run(tmp_path, "a.mp4", "b.mp4", []) == 2
    assert (tmp_path / "b.mp4").read_bytes() == b"precious"
    shutil.move(tmp_path / "b.mp4", tmp_path / "c.mp4")
    monkeypatch.setattr(video, "join", real)
    assert run(tmp_path, "a.mp4", "b.mp4", []) == 0  # the segments were kept


@pytest.mark.parametrize(
    ("target", "source", "message"),
    [
        ("x/a.mp4", "x/a.mp4", "is the input itself"),
        ("x/A.MP4", "x/a.mp4", "is the input itself"),
        ("x/e\u0301.mp4", "x/\u00e9.mp4", "is the input itself"),
        ("x", "x/deep/down/a.mp4", "is a folder that holds the input"),
    ],
)
def test_targets_that_are_or_hold_a_source_are_refused(tmp_path, target, source, message):
    (tmp_path / source).parent.mkdir(parents=True)
    (tmp_path / source).touch()
    with pytest.raises(ValueError, match=message):
        check_outputs(
            Outputs(target=tmp_path / target), [Sources([tmp_path / source])], overwrite=True
        )


def test_records_of_others_are_not_replaced(tmp_path):
    target = tmp_path / "a.mp4"
    for text in ("", "[]", "{}", "nonsense", "[" * 100_000):
        record_path(target).write_text(text)
        assert not is_result(target)
        with pytest.raises(ValueError, match="was not written by this program"):
            check_outputs(Outputs(target=target), [], overwrite=True)
