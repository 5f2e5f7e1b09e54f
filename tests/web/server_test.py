"""The server without a browser: privacy, limits, twenty jobs, files that go."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.clips import make_video, smooth_frames
from tests.quick import quick_upscaler
from tests.web.server import serving
from uav_jax.pipeline import plan as plan_module
from uav_jax.video.probe import probe


def resident_kib():
    """Memory of this process now (0 where the system does not say)."""
    status = Path("/proc/self/status")
    text = status.read_text() if status.is_file() else "VmRSS: 0"
    return int(re.search(r"VmRSS:\s*(\d+)", text)[1])


def visit(address):
    return httpx.Client(base_url=address, timeout=120)


def cookie_of(visitor):
    """The only cookie of a visitor: its name and the secret."""
    ((name, secret),) = visitor.cookies.items()
    return name, secret


def send(visitor, path, name="clip.mp4"):
    return visitor.post("/api/video", params={"name": name}, content=path.read_bytes())


def finish(visitor, seconds=300):
    deadline = time.monotonic() + seconds
    while True:
        state = visitor.get("/api/state").json()
        if state["run"]["state"] not in ("waiting", "running"):
            return state
        assert time.monotonic() < deadline, state
        time.sleep(0.05)


def test_a_video_is_described_planned_upscaled_and_downloaded(site, clip, tmp_path):
    with visit(site[0]) as visitor:
        state = send(visitor, clip, "../../my 'clip'.mp4").json()
        assert state["video"]["name"] == "my 'clip'.mp4" and state["video"]["frames"] == 3
        plan = visitor.post("/api/plan", json={"scale": 2}).json()
        assert (plan["width"], plan["height"]) == (32, 32) and plan["seconds"] > 0
        assert visitor.post("/api/run", json={"scale": 2}).json()["run"]["state"] != "failed"
        assert finish(visitor)["run"]["state"] == "done"
        answer = visitor.get("/api/result?download")
        assert "my%20%27clip%27_upscaled.mp4" in answer.headers["content-disposition"]
        (tmp_path / "out.mp4").write_bytes(answer.content)
        made = probe(tmp_path / "out.mp4")
        assert (made.frames, made.width, made.height) == (3, 32, 32) and made.audio_codecs
        part = visitor.get("/api/result", headers={"Range": "bytes=0-9"})
        assert part.status_code == 206 and len(part.content) == 10
        for when in ("before", "after"):
            assert visitor.get(f"/api/still/result/{when}/2").headers["content-type"][:5] == "image"
        assert visitor.post("/api/forget", json={}).json()["video"] is None
        assert visitor.get("/api/result").status_code == 404


def test_files_are_private_to_a_visitor(site, clip):
    with visit(site[0]) as one, visit(site[0]) as other:
        send(one, clip)
        one.post("/api/preview", json={})
        assert finish(one)["preview"] == 3
        assert one.get("/api/still/preview/after/0").status_code == 200
        assert other.get("/api/still/preview/after/0").status_code == 404
        assert other.get("/api/moment/0").status_code == 409
        assert other.get("/api/state").json()["video"] is None
        send(other, clip)
        secrets = [cookie_of(v)[1] for v in (one, other)]
        assert len(set(secrets)) == 2 and all(len(s) >= 43 for s in secrets)
        folders = [f.name for f in site[1].visitors.root.iterdir()]
        assert not set(secrets) & set(folders)


@pytest.mark.parametrize(
    "path",
    [
        "/api/still/preview/after/../../../../etc/passwd",
        "/api/still/..%2f..%2f/after/0",
        "/api/still/preview/..%2f..%2fclip/0",
        "/static/../server.py",
        "/static/..%2fserver.py",
    ],
)
def test_paths_lead_nowhere(site, path):
    with visit(site[0]) as visitor:
        assert visitor.get(path).status_code in (404, 405)


def test_other_sites_and_other_names_are_refused(site):
    with visit(site[0]) as visitor:
        answer = visitor.post("/api/forget", json={}, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403
        assert visitor.get("/api/state", headers={"Host": "evil.example"}).status_code == 400
        same = visitor.post("/api/forget", json={}, headers={"Origin": site[0]})
        assert same.status_code == 200


def test_what_is_no_video_too_large_or_too_long_is_refused(site, clip, tmp_path):
    playlist = tmp_path / "list.mp4"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    large = tmp_path / "large.mp4"
    large.write_bytes(b"\x00\x00\x00\x20ftyp" + bytes(2_000_000))
    long = make_video(tmp_path / "long.mp4", smooth_frames(100, 16, 16), range(100))
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"\x00\x00\x00\x20ftypisom" + bytes(900))
    with visit(site[0]) as visitor:
        send(visitor, clip)
        for path, name, status, message in (
            (playlist, "a.mp4", 400, r"^a\.mp4 is not a video, whatever its name says$"),
            (clip, "song.mp3", 400, r"^song\.mp3 is not a video; accepted are"),
            (large, "a.mp4", 413, r"^the file is too large; up to 1 MB$"),
            (long, "a.mp4", 400, r"^a\.mp4 is 4 s long; up to 3 s are accepted$"),
            (damaged, "a.mp4", 400, r"^a\.mp4 cannot be read as a video"),
        ):
            answer = send(visitor, path, name)
            assert answer.status_code == status and re.search(message, answer.json()["error"])
        piece = b"\x00\x00\x00\x20ftyp" + bytes(100_000)
        chunks = (piece for _ in range(20))  # without a length in advance
        assert visitor.post("/api/video?name=a.mp4", content=chunks).status_code == 413
        assert visitor.get("/api/state").json()["video"]["frames"] == 3
        files = [p for p in site[1].visitors.root.rglob("*.mp4") if p.stat().st_size > 900_000]
        assert files == []


@pytest.mark.parametrize("what", ["run", "preview", "plan"])
def test_mistakes_in_settings_are_answered_at_once(site, clip, what):
    with visit(site[0]) as visitor:
        assert visitor.post(f"/api/{what}", json={}).status_code == 409
        send(visitor, clip)
        answer = visitor.post(f"/api/{what}", json={"noise_level": 9999})
        assert answer.status_code == 400 and "9999" in answer.json()["error"]
        for content in ("not json", "[1]", "null"):
            assert visitor.post(f"/api/{what}", content=content).status_code == 400


def test_twenty_jobs_are_all_done_and_none_is_mixed_up(site, tmp_path):
    """Each visitor's clip has its own brightness, which its result must have too."""
    levels = [20 + 10 * n for n in range(20)]

    def one(level):
        frames = np.full((3, 16, 16, 3), level, np.uint8)
        path = make_video(tmp_path / f"{level}.mp4", frames, range(3))
        with visit(site[0]) as visitor:
            send(visitor, path)
            visitor.post("/api/run", json={})
            again = visitor.post("/api/run", json={})
            state = finish(visitor)
            (tmp_path / f"{level}_out.mp4").write_bytes(visitor.get("/api/result").content)
            return again.status_code, state["run"]["state"]

    first = one(levels[0])
    before = resident_kib()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(one, levels))
    assert {state for _, state in (first, *answers)} == {"done"}
    assert 409 in {code for code, _ in answers}
    for level in levels:
        frames = np.stack(list(probe(tmp_path / f"{level}_out.mp4").stream()))
        assert abs(frames.mean() - level) < 8, level
    grown = resident_kib() - before
    assert grown < 100_000, f"{grown} KiB more after twenty jobs"


@pytest.mark.slow  # queue_test has turns in short
def test_a_long_video_lets_a_preview_go_first(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(plan_module, "SEGMENT", 6)
    long = make_video(tmp_path / "long.mp4", smooth_frames(24, 16, 16), range(24))
    with (
        serving(quick_upscaler(), tmp_path / "visitors", turn=0.0) as (address, _),
        visit(address) as one,
        visit(address) as other,
    ):
        send(one, long)
        send(other, clip)
        one.post("/api/run", json={})
        other.post("/api/preview", json={})
        assert finish(other)["run"]["state"] == "done"
        assert one.get("/api/state").json()["run"]["state"] != "done"
        assert finish(one)["run"]["state"] == "done"
        (tmp_path / "out.mp4").write_bytes(one.get("/api/result").content)
    assert probe(tmp_path / "out.mp4").frames == 24


def test_visitors_who_left_are_forgotten(site, clip):
    visitors = site[1].visitors
    with visit(site[0]) as visitor:
        send(visitor, clip)
        before = len(list(visitors.root.iterdir()))
        for known in visitors:
            known.seen -= visitors.keep + 1
        threading.Thread(target=visitors.remove_old).run()
        assert before > 0 and list(visitors.root.iterdir()) == []
        assert visitor.get("/api/state").json()["video"] is None


def test_a_part_is_upscaled_and_compared(site, clip, tmp_path):
    with visit(site[0]) as visitor:
        send(visitor, clip)
        part = {"from": "#1", "to": "#3", "scale": 2, "deinterlace": False}
        plan = visitor.post("/api/plan", json=part).json()
        assert plan["frames"] == 2 and plan["notes"] == []
        visitor.post("/api/run", json=part)
        state = finish(visitor)
        assert state["run"]["state"] == "done" and state["stills"] == [0, 1]
        (tmp_path / "part.mp4").write_bytes(visitor.get("/api/result").content)
        assert probe(tmp_path / "part.mp4").frames == 2
        for wrong, message in (
            ({"from": "soon"}, "position 'soon'; expected seconds"),
            ({"from": 3}, "from '3' is no position"),
            ({"hdr": "refuse it"}, "hdr 'refuse it'; expected refuse, keep or tonemap"),
        ):
            answer = visitor.post("/api/plan", json=wrong)
            assert answer.status_code == 400 and message in answer.json()["error"]
