"""One server and a clip for the tests of a file."""

import pytest

from tests.clips import make_video, smooth_frames
from tests.quick import quick_upscaler
from tests.web.server import serving


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with serving(quick_upscaler(), tmp_path_factory.mktemp("visitors")) as served:
        yield served


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return make_video(path, smooth_frames(3, 16, 16), range(3), audio=True)
