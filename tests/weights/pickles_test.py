"""The pickle machine: what it reads, what it refuses, and what a refusal costs."""

import collections
import io
import pickle
import tracemalloc

import pytest

from tests.weights import hostile as h
from uav_jax.weights.pickles import (
    ORDERED_DICT,
    PickleFormatError,
    PickleLimits,
    UnsafePickleError,
    read_pickle,
)

ALLOWED = {("collections", "OrderedDict"): ORDERED_DICT, ("a", "constant"): 7.0}


def read(data: bytes, **options):
    return read_pickle(io.BytesIO(data), ALLOWED, **options)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_plain_values_read_as_pythons_own_reader_reads_them(protocol):
    shared = ["x", (1,)]
    value = {
        "numbers": [0, 255, 256, 65536, -1, 2**31, -(2**40), 1.5, True, False, None],
        "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "named": collections.OrderedDict(a=1, ä="ö"),
        "shared": [shared, shared],
        "many": list(range(3000)),
    }
    again = read(pickle.dumps(value, protocol))
    assert again == value and type(again["named"]) is collections.OrderedDict
    assert again["shared"][0] is again["shared"][1]


def test_the_file_is_left_behind_the_pickle():
    file = io.BytesIO(pickle.dumps([1], 2) + b"rest")
    assert read_pickle(file, {}) == [1] and file.read() == b"rest"


def test_the_state_of_an_ordered_dict_is_dropped():
    state = h.group(h.text("_metadata"))[:-1] + h.number(1) + b"t"
    value = read(h.name("collections", "OrderedDict") + b")R" + state + b"b.")
    assert value == {} and not hasattr(value, "_metadata")


UNSAFE = {
    "a name that is not listed": (h.name("os", "system") + b".", "refers to os.system"),
    "a listed constant that is called": (h.name("a", "constant") + b")R.", "calls a float"),
    "a string that is called": (h.text("x") + b")R.", "calls a str"),
    "the state of a dict": (b"}}b.", "sets the state of a dict"),
    "the state of a number": (h.name("a", "constant") + b"}b.", "sets the state of a float"),
    "an opcode that builds objects": (b")\x81.", "opcode 0x81"),
    "an opcode that calls by protocol 0": (b"(ios\nsystem\n.", "opcode 0x69"),
    "an extension": (b"\x82\x01.", "opcode 0x82"),
    "a persistent object": (b"]Q.", "outside of itself"),
}


@pytest.mark.parametrize("case", UNSAFE)
def test_nothing_is_called_and_no_state_is_set_but_what_is_listed(case):
    data, message = UNSAFE[case]
    with pytest.raises(UnsafePickleError, match=message) as error:
        read(data)
    assert len(str(error.value).splitlines()) == 1


def nested(levels: int) -> bytes:
    return b")" + b"\x85" * levels + b"."


BAD = {
    "empty": (b"", "truncated"),
    "cut in a string": (h.text("hello")[:-2], "truncated"),
    "a memo index that would take a gigabyte": (b"Nr\xff\xff\xff\x07.", "memo index 134217727"),
    "an unfilled memo": (b"h\x05.", "memo 5"),
    "a string of 4 GiB": (b"X\xff\xff\xff\xff", "4294967295 bytes"),
    "bytes of 4 GiB": (b"B\xff\xff\xff\xff", "4294967295 bytes"),
    "an integer of 255 bytes": (b"\x8a\xff" + bytes(255) + b".", "integer of 255 bytes"),
    "a string that is no text": (b"X\x01\0\0\0\xff.", "no text"),
    "tuples in tuples": (nested(5000), "nests deeper than 32"),
    "groups in groups": (b"(" * 5000 + b".", "nests deeper than 32"),
    "lists in lists, outermost first": (
        b"".join(b"]q" + bytes([i]) for i in range(40))
        + b"".join(b"h" + bytes([i]) + b"h" + bytes([i + 1]) + b"a" for i in range(39))
        + b".",
        "takes none",
    ),
    "a list in itself": (b"]q\0h\0a.", "takes none"),
    "a list in a list in itself": (b"]q\0]h\0aq\1h\0h\1a.", "takes none"),
    "a key that is no text": (b"}K\1K\1s.", "key that is no text"),
    "a key without a value": (b"}(K\1u.", "key that is no text"),
    "a pop below a mark": (b"N(\x85.", "where there is none"),
    "an append to a tuple": (b")Na.", "adds to a tuple"),
    "an end without a beginning": (b"t.", "did not begin"),
    "values left over": (b"NN.", "unused"),
    "a newer protocol": (b"\x80\x05N.", "protocol 5"),
    "a long name": (b"c" + b"x" * 1000 + b"\nx\n.", "longer than 128"),
    "a name with an escape": (b"c\x1b[2J\nx\n.", "no text"),
}


@pytest.mark.parametrize("case", BAD)
def test_damaged_and_oversized_pickles_are_refused_in_one_line(case):
    data, message = BAD[case]
    with pytest.raises(PickleFormatError, match=message) as error:
        read(data)
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 300


@pytest.mark.parametrize("limit", [{"steps": 100}, {"length": 100}])
def test_a_pickle_beyond_its_budget_is_refused(limit):
    with pytest.raises(PickleFormatError, match="100"):
        read(b"]" * 1000 + b".", limits=PickleLimits(**limit))


def test_values_handed_to_a_constructor_count():
    pairs = b"](" + b"h\1" * 60 + b"e"
    make = h.name("collections", "OrderedDict")
    pair = h.text("k") + b"N\x86q\1"
    once = pair + make + pairs + b"\x85R\x86."
    assert len(read(once, limits=PickleLimits(steps=200))) == 2
    with pytest.raises(PickleFormatError, match="more than 200 steps"):
        many = pair + pairs + b"q\2" + (make + b"h\2\x85R\x86") * 3
        read(many + b".", limits=PickleLimits(steps=200))


def test_refusing_a_bomb_takes_no_memory():
    tracemalloc.start()
    for data, _ in BAD.values():
        with pytest.raises(PickleFormatError):
            read(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 << 20
