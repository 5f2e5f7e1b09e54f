"""JSON of strangers."""

import json
import os

import pytest

from uav_jax.runtime.json_files import MAX_BYTES, read_object


def test_an_object_is_read(tmp_path):
    path = tmp_path / "x.json"
    value = {"a": [1, 2.5, None, True, "ä"], "b": {"c": {}}}
    path.write_text(json.dumps(value))
    assert read_object(path) == value


BAD = {
    "a list": (b"[1]", "holds a list; expected a JSON object"),
    "a number": (b"3", "holds a int"),
    "text": (b'"x"', "holds a str"),
    "nothing": (b"", "is not valid JSON"),
    "half an object": (b'{"a"', "is not valid JSON"),
    "another encoding": (b'{"a": "\xff"}', "is not valid JSON"),
    "not a number": (b'{"a": NaN}', "NaN is no JSON number"),
    "a number of 5000 digits": (b'{"a": ' + b"9" * 5000 + b"}", "is not valid JSON"),
    "two values of one name": (b'{"a": 1, "a": 2}', "two values of one name"),
    "20 levels": (b'{"a": ' + b"[" * 20 + b"]" * 20 + b"}", "nests deeper than 16 levels"),
    "100000 levels": (b'{"a":' * 100_000, "nests deeper than 16 levels"),
    "more than a megabyte": (b" " * (MAX_BYTES + 1), f"up to {MAX_BYTES} are accepted"),
}


@pytest.mark.parametrize("case", BAD)
def test_anything_else_is_refused_in_one_line(case, tmp_path):
    content, message = BAD[case]
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_object(path)
    assert str(path) in str(error.value) and len(str(error.value).splitlines()) == 1


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(ValueError, match="no regular file"):
        read_object(tmp_path / "x.json")
    with pytest.raises(ValueError, match="is missing"):
        read_object(tmp_path / "y.json")
