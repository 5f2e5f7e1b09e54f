"""Visits: where they begin, what they may use, and what is left of them."""

import asyncio
import shutil
import threading
import time
from collections import namedtuple
from dataclasses import replace

import httpx
import pytest

from tests.stub import stub_upscaler
from tests.web.server import LIMITS, serving
from tests.web.server_test import cookie_of, finish, send, visit
from uav_jax.web import visitors as visitors_module
from uav_jax.web import work
from uav_jax.web.queue import Run
from uav_jax.web.refusals import without_paths

Disk = namedtuple("Disk", "total used free")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with serving(stub_upscaler(), tmp_path_factory.mktemp("visitors")) as served:
        yield served


@pytest.fixture
def root(site):
    """The folder of all visitors, empty at first."""
    site[1].visitors.remove_all()
    assert list(site[1].visitors.root.iterdir()) == []
    return site[1].visitors.root


GETS = ("/", "/api/state", "/api/moment/0", "/api/still/preview/after/0", "/api/result")


def test_a_visit_begins_with_an_upload_and_not_before(site, root, clip):
    with visit(site[0]) as visitor:
        for path in GETS:
            assert "set-cookie" not in visitor.get(path).headers
        for path in ("plan", "preview", "run"):
            assert visitor.post(f"/api/{path}", json={}).status_code == 409
        for path in ("cancel", "forget"):
            assert visitor.post(f"/api/{path}", json={}).json()["video"] is None
        assert visitor.post("/api/video?name=a.mp4", content=b"no video").status_code == 400
        assert not visitor.cookies and list(root.iterdir()) == []
        assert send(visitor, clip).status_code == 200
        name, secret = cookie_of(visitor)
        assert name == f"visitor_{httpx.URL(site[0]).port}" and len(secret) >= 43
        assert len(list(root.iterdir())) == 1


@pytest.mark.parametrize("fetch", ["cross-site", "same-site"])
def test_a_link_from_another_site_changes_nothing(site, root, clip, fetch):
    """A browser sends no strict cookie along with it."""
    with visit(site[0]) as visitor:
        send(visitor, clip)
        before = dict(visitor.cookies)
        headers = {"Sec-Fetch-Site": fetch, "Sec-Fetch-Mode": "navigate"}
        for path in GETS[1:]:
            answer = httpx.get(site[0] + path, headers=headers)
            assert answer.status_code == 403 and "set-cookie" not in answer.headers
        upload = {"content": clip.read_bytes(), "headers": headers}
        answer = httpx.post(f"{site[0]}/api/video?name=a.mp4", **upload)
        assert answer.status_code == 403 and "set-cookie" not in answer.headers
        assert dict(visitor.cookies) == before
        assert visitor.get("/api/state").json()["video"]


def test_behind_tls_the_cookie_is_secure(site, root, clip):
    proxied = {"X-Forwarded-Proto": "https"}  # uvicorn believes a proxy on this machine
    content = clip.read_bytes()
    answer = httpx.post(f"{site[0]}/api/video?name=a.mp4", content=content, headers=proxied)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"__Host-visitor_{httpx.URL(site[0]).port}=") and "Secure" in cookie
    sent = proxied | {"Cookie": cookie.partition(";")[0]}
    assert httpx.get(f"{site[0]}/api/state", headers=sent).json()["video"]


def test_answers_are_kept_from_other_sites(site, root, clip):
    with visit(site[0]) as visitor:
        headers = send(visitor, clip).headers
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"


@pytest.mark.parametrize("content", [b'{"x": NaN}', b'{"frame": 1e300}', b'{"prompt": "\\ud800"}'])
def test_values_that_no_form_has_are_answered_with_422(site, root, clip, content):
    with visit(site[0]) as visitor:
        send(visitor, clip)
        for path in ("plan", "preview", "run"):
            assert visitor.post(f"/api/{path}", content=content).status_code == 422
        assert visitor.get("/api/state").status_code == 200


def test_only_the_forms_fields_are_remembered(site, root, clip):
    with visit(site[0]) as visitor:
        send(visitor, clip)
        visitor.post("/api/preview", json={"prompt": "a cat", "extra": "x" * 60_000})
        assert finish(visitor)["settings"] == {"prompt": "a cat"}
        large = visitor.post("/api/preview", json={"prompt": "a cat", "extra": "x" * 70_000})
        assert large.status_code == 413


def test_a_result_replaces_the_one_before(site, root, clip):
    with visit(site[0]) as visitor:
        send(visitor, clip)
        found = []
        for settings in ({"scale": 2}, {"scale": 3}, {"scale": 2, "to": "#2"}):
            visitor.post("/api/run", json=settings)
            assert finish(visitor)["run"]["state"] == "done"
            found.append(len([p for p in root.rglob("result/*") if p.suffix == ".mp4"]))
        assert found == [1, 1, 1]


def test_a_result_without_pictures_is_still_a_result(site, root, clip, monkeypatch):
    def failing(*_):
        raise OSError("no room for pictures")

    monkeypatch.setattr(work, "save_stills", failing)
    with visit(site[0]) as visitor:
        send(visitor, clip)
        visitor.post("/api/run", json={"scale": 2})
        assert finish(visitor)["run"]["state"] == "done"
        assert visitor.get("/api/result").status_code == 200


def test_the_end_of_a_run_counts_as_a_visit(site, root, clip):
    visitors = site[1].visitors
    with visit(site[0]) as visitor:
        send(visitor, clip)
    (known,) = visitors
    gate = threading.Event()
    site[1]._start(known, Run("video", lambda run: gate.wait(30) and None), {})
    known.seen -= visitors.keep + 1
    visitors.remove_old()
    assert list(visitors) == [known]
    gate.set()
    deadline = time.monotonic() + 30
    while known.is_active:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    visitors.remove_old()
    assert list(visitors) == [known]


def test_files_are_never_removed_on_the_event_loop_or_under_the_lock(site, root, clip, monkeypatch):
    visitors, calls = site[1].visitors, []

    def watched(function):
        def call(*arguments, **named):
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            calls.append((function.__name__, visitors._lock.locked()))
            return function(*arguments, **named)

        return call

    for name in ("empty_own_folder", "remove_own_folder", "make_own_folder"):
        monkeypatch.setattr(visitors_module, name, watched(getattr(visitors_module, name)))
    with visit(site[0]) as visitor:
        send(visitor, clip)
        visitor.post("/api/forget", json={})
        for known in visitors:
            known.seen -= visitors.keep + 1
        visitors.remove_old()
    assert {name for name, _ in calls} == {
        "empty_own_folder",
        "remove_own_folder",
        "make_own_folder",
    }
    assert not any(locked for _, locked in calls)


def test_stopping_the_server_cancels_runs_and_removes_files(tmp_path, clip):
    def forever(run):
        while True:
            run.progress("denoising", 1, 2)
            time.sleep(0.01)

    folder, run = tmp_path / "visitors", Run("video", forever)
    folder.mkdir()
    with serving(stub_upscaler(), folder) as (address, shared):
        with visit(address) as visitor:
            send(visitor, clip)
            (known,) = shared.visitors
            shared._start(known, run, {})
        start = time.monotonic()
    assert time.monotonic() - start < 20
    assert run.state == "cancelled" and list(folder.iterdir()) == []


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A server with little of everything."""
    limits = replace(LIMITS, total_megabytes=1.0, visitors=2, queued_runs=1)
    with serving(stub_upscaler(), tmp_path_factory.mktemp("small"), limits=limits) as served:
        yield served


def test_all_files_of_a_visitor_are_limited(small, clip, tmp_path):
    with visit(small[0]) as visitor:
        send(visitor, clip)
        (known,) = small[1].visitors
        (known.folder / "large").write_bytes(bytes(1_100_000))
        again = send(visitor, clip)
        assert again.status_code == 413 and "your files have 1 MB" in again.json()["error"]
        visitor.post("/api/run", json={})
        state = finish(visitor)["run"]
        assert state["state"] == "failed" and "your files have more than 1 MB" in state["message"]
        visitor.post("/api/forget", json={})
        assert send(visitor, clip).status_code == 200
    small[1].visitors.remove_all()


def test_visitors_are_limited(small, clip):
    with visit(small[0]) as one, visit(small[0]) as two, visit(small[0]) as three:
        answers = [send(visitor, clip) for visitor in (one, two, three)]
        assert [a.status_code for a in answers] == [200, 200, 503]
        assert "set-cookie" not in answers[2].headers
    small[1].visitors.remove_all()


def test_a_full_disk_refuses_uploads_and_runs(small, clip, monkeypatch):
    with visit(small[0]) as visitor:
        send(visitor, clip)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(2**40, 2**40, 2**29))
        assert send(visitor, clip).status_code == 507
        visitor.post("/api/run", json={})
        assert finish(visitor)["run"]["message"] == "the server's disk is full; try again later"
    small[1].visitors.remove_all()


def test_a_disk_that_fills_while_an_upload_arrives_ends_it(small, clip, monkeypatch):
    calls = []

    def usage(path):
        calls.append(path)
        return Disk(2**40, 0, 2**40 if len(calls) < 3 else 2**29)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    body = clip.read_bytes() + bytes(900_000)
    answer = httpx.post(f"{small[0]}/api/video?name=a.mp4", content=body)
    assert answer.status_code == 507
    assert list(small[1].visitors.root.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["[bold]clip[/bold].mp4", "clip[1].mp4", "a" * 250 + ".mp4", "{0} %s $\\frac$.mp4"]
)
def test_long_and_bracketed_names_are_shown_and_offered(site, root, clip, name):
    with visit(site[0]) as visitor:
        shown = send(visitor, clip, name).json()["video"]["name"]
        assert shown.endswith(".mp4") and len(shown) <= 100
        visitor.post("/api/run", json={"scale": 2})
        assert finish(visitor)["run"]["state"] == "done"
        offered = visitor.get("/api/result?download").headers["content-disposition"]
        assert "_upscaled.mp4" in offered


def test_errors_name_no_path_of_the_server(site, root, clip, tmp_path):
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"\x00\x00\x00\x20ftypisom" + bytes(900))
    with visit(site[0]) as visitor:
        send(visitor, clip)
        (known,) = site[1].visitors
        error = send(visitor, damaged, "a [b] /c.mp4").json()["error"]
        assert error.startswith("c.mp4 cannot be read") and str(root) not in error
        for path in known.folder.glob("*.mp4"):
            path.unlink()
        for answer in (
            visitor.post("/api/plan", json={"from": "#1"}),
            visitor.get("/api/moment/1"),
        ):
            assert answer.status_code == 400 and str(root) not in answer.text
        visitor.post("/api/run", json={"from": "#1"})
        message = finish(visitor)["run"]["message"]
        assert message and str(root) not in message


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/srv/web/ab12/c3.mp4 is empty", "clip.mp4 is empty"),
        ("cannot write '/srv/web/ab12/result/c3.mp4'", "cannot write 'clip.mp4'"),
        ("/usr/lib/python3/x.so: bad", "(a file of the server): bad"),
        ("position 1/2/3 of 4", "position 1/2/3 of 4"),
    ],
)
def test_paths_are_replaced_in_messages(text, shown, tmp_path):
    folder = type(tmp_path)("/srv/web/ab12")
    assert without_paths(text, folder, "clip.mp4") == shown
