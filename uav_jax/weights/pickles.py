"""Pickles of weight files, read by a machine that calls nothing the file chooses.

Python's own unpickler hands ``BUILD`` states to any object and its C code to any dtype, so a list
of names alone does not make it safe. This machine knows the opcodes that state dicts are written
with (the same kind of list as PyTorch's weights-only reader). Three things may come from a name:
a constant, or the result of a ``Constructor`` of ours, which checks its arguments. The file is
paid for as it is read: bytes, opcodes, nesting and the length of strings are limited.
"""

import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

MAX_NAME = 128
"""Bytes of a module's or a type's name."""
MAX_INTEGER = 16
"""Bytes of an integer."""
PROTOCOLS = (2, 3, 4)

_MUTABLE = (list, dict, OrderedDict)
_CONTAINERS = (tuple, *_MUTABLE)


class PickleFormatError(ValueError):
    """A pickle is damaged, or larger than a weight file's has reason to be."""


class UnsafePickleError(ValueError):
    """A pickle asks for something that no weight file needs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PickleLimits:
    """What reading one pickle may cost."""

    length: int = 16 << 20  # bytes of the file
    steps: int = 1_000_000  # opcodes, and values that constructors are given
    nesting: int = 32  # containers in one another
    text: int = 4096  # bytes of a string
    data: int = 0  # bytes of a ``bytes`` object; 0: none may occur


@dataclass(frozen=True, slots=True)
class Constructor:
    """A name that a pickle may call: ``build(args)`` checks the arguments, or raises ValueError."""

    name: str
    build: Callable[[tuple], Any]


def _ordered_dict(args: tuple) -> OrderedDict:
    match args:
        case ():
            return OrderedDict()
        case ([*pairs],) if all(type(p) in (list, tuple) and len(p) == 2 for p in pairs):
            if all(type(key) is str for key, _ in pairs):
                return OrderedDict(pairs)
    raise PickleFormatError("an OrderedDict is made of something else than named values")


ORDERED_DICT = Constructor("collections.OrderedDict", _ordered_dict)


def _no_state(value: OrderedDict, state: Any) -> None:
    """PyTorch hangs ``_metadata`` on a state dict; nothing here needs it."""


def _no_objects(pid: Any) -> Any:
    raise UnsafePickleError("the pickle refers to an object outside of itself")


def read_pickle(
    file: BinaryIO,
    allowed: Mapping[tuple[str, str], Any],
    *,
    persistent: Callable[[Any], Any] = _no_objects,
    states: Mapping[type, Callable[[Any, Any], None]] | None = None,
    limits: PickleLimits | None = None,
) -> Any:
    """Reads one pickle; the file is left right behind it.

    Args:
        file: where the pickle starts.
        allowed: (module, name) -> a ``Constructor``, or a constant that stands for the name.
        persistent: turns a persistent id into an object.
        states: exact type of a built object -> what takes the state that the file gives it. The
            state of an ``OrderedDict`` is always dropped; every other type has none.
        limits: what reading may cost.

    Returns:
        The value, made of None, bool, int, float, str, bytes, tuple, list, dict, ``OrderedDict``
        and of what ``allowed`` and ``persistent`` give. Containers are free of cycles.

    Raises:
        UnsafePickleError: for a name, an opcode or a state that is not allowed.
        PickleFormatError: for a damaged pickle and for one beyond the limits.
    """
    takers = {OrderedDict: _no_state} | dict(states or {})
    return _Machine(file, allowed, persistent, takers, limits or PickleLimits()).run()


class _Machine:
    """The stack, the marks in it, and the memo."""

    def __init__(self, file, allowed, persistent, states, limits: PickleLimits):
        self._file, self._allowed = file, allowed
        self._persistent, self._states, self._limits = persistent, states, limits
        self._bytes_left, self._steps_left = limits.length, limits.steps
        self._stack: list = []
        self._marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self._depths: dict[int, int] = {}  # by id, of containers
        self._inside: set[int] = set()  # ids of lists and dicts that another container holds

    def run(self) -> Any:
        while (opcode := self.take(1)) != b".":
            self.spend(1)
            if opcode not in _OPCODES:
                raise UnsafePickleError(
                    f"the pickle uses opcode 0x{opcode.hex()}, which no weight file needs; "
                    "expected those of torch.save; nothing was executed"
                )
            _OPCODES[opcode](self)
        value = self.pop()
        if self._stack or self._marks:
            raise PickleFormatError(f"the pickle leaves {len(self._stack)} values unused")
        return value

    def spend(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise PickleFormatError(
                f"the pickle takes more than {self._limits.steps} steps, the most that is accepted"
            )

    def take(self, length: int) -> bytes:
        """The next bytes of the file; no more are asked for than the limit leaves."""
        self._bytes_left -= length
        if self._bytes_left < 0:
            raise PickleFormatError(
                f"the pickle is longer than {self._limits.length} bytes, the most that is accepted"
            )
        data = self._file.read(length)
        if len(data) != length:
            raise PickleFormatError("the pickle is truncated")
        return data

    def unpack(self, layout: str) -> Any:
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))[0]

    def line(self) -> str:
        data = self._file.readline(MAX_NAME + 1)
        self._bytes_left -= len(data)
        if not data.endswith(b"\n"):
            raise PickleFormatError(f"a name in the pickle is longer than {MAX_NAME} bytes")
        return data[:-1].decode("ascii", "replace")

    def text(self, length: int, encoding: str) -> None:
        if length > self._limits.text:
            raise PickleFormatError(
                f"a string of {length} bytes in the pickle; up to {self._limits.text} are accepted"
            )
        try:
            self.push(self.take(length).decode(encoding))
        except UnicodeDecodeError as error:
            raise PickleFormatError(f"a string in the pickle is no text: {error.reason}") from None

    def data(self, length: int) -> None:
        if length > self._limits.data:
            raise PickleFormatError(
                f"{length} bytes of data in the pickle; up to {self._limits.data} are accepted"
            )
        self.push(self.take(length))

    def long(self) -> None:
        if (length := self.unpack("B")) > MAX_INTEGER:
            raise PickleFormatError(
                f"an integer of {length} bytes in the pickle; up to {MAX_INTEGER} are accepted"
            )
        self.push(int.from_bytes(self.take(length), "little", signed=True))

    def protocol(self) -> None:
        if (version := self.unpack("B")) not in PROTOCOLS:
            raise PickleFormatError(f"pickle protocol {version}; {PROTOCOLS} are accepted")

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise PickleFormatError("the pickle takes a value where there is none")
        return self._stack.pop()

    def top(self) -> Any:
        value = self.pop()
        self.push(value)
        return value

    def mark(self) -> None:
        if len(self._marks) >= self._limits.nesting:
            raise self._too_deep()
        self._marks.append(len(self._stack))

    def pop_mark(self) -> list:
        if not self._marks:
            raise PickleFormatError("the pickle ends a group that it did not begin")
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _too_deep(self) -> PickleFormatError:
        return PickleFormatError(
            f"the pickle nests deeper than {self._limits.nesting} levels, the most accepted"
        )

    def put(self, index: int) -> None:
        if index >= self._limits.steps:
            raise PickleFormatError(
                f"memo index {index} in the pickle; up to {self._limits.steps - 1} are accepted"
            )
        self.memo[index] = self.top()

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise PickleFormatError(f"the pickle asks for memo {index}, which it did not fill")
        self.push(self.memo[index])

    def container(self, value: Any, contents: tuple | list = ()) -> None:
        """Pushes a container that has just been built."""
        self._inside.discard(id(value))
        self._depths[id(value)] = 1
        self._hold(value, contents)
        self.push(value)

    def _hold(self, value: Any, contents: tuple | list) -> None:
        """Notes what a container holds. What is held may not change any more: no cycles."""
        depth = 0
        for item in contents:
            if type(item) in _CONTAINERS:
                depth = max(depth, self._depths[id(item)])
            if type(item) in _MUTABLE:
                self._inside.add(id(item))
        self._depths[id(value)] = max(self._depths[id(value)], depth + 1)
        if self._depths[id(value)] > self._limits.nesting:
            raise self._too_deep()

    def push_tuple(self, length: int) -> None:
        self.container(values := tuple([self.pop() for _ in range(length)][::-1]), values)

    def marked_tuple(self) -> None:
        self.container(values := tuple(self.pop_mark()), values)

    def _filled(self, kinds: tuple[type, ...], contents: list) -> Any:
        """The container on top, to which the contents are added."""
        value = self.top()
        if type(value) in kinds:
            self._hold(value, contents)
        if type(value) not in kinds or id(value) in self._inside:
            raise PickleFormatError(f"the pickle adds to a {type(value).__name__} that takes none")
        return value

    def append(self, values: list) -> None:
        self._filled((list,), values).extend(values)

    def set_items(self, values: list) -> None:
        keys = values[::2]
        if len(values) % 2 or any(type(key) is not str for key in keys):
            raise PickleFormatError("a dict in the pickle has a key that is no text")
        target = self._filled((dict, OrderedDict), values)
        target.update(zip(keys, values[1::2], strict=True))

    def name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str or not (module + name).isprintable():
            raise PickleFormatError("a name in the pickle is no text")
        if (module, name) not in self._allowed:
            raise UnsafePickleError(
                f"the pickle refers to {module:.128}.{name:.128}, which is not on the list of "
                "types that a weight file may hold; nothing was executed"
            )
        self.push(self._allowed[module, name])

    def persistent(self) -> None:
        self.push(self._persistent(self.pop()))

    def reduce(self) -> None:
        args, constructor = self.pop(), self.pop()
        if type(constructor) is not Constructor or type(args) is not tuple:
            raise UnsafePickleError(
                f"the pickle calls a {type(constructor).__name__}; nothing was executed"
            )
        self.spend(sum(len(a) for a in args if type(a) in _CONTAINERS))
        value = constructor.build(args)
        if type(value) in _CONTAINERS:
            self.container(value, (args,))
        else:
            self.push(value)

    def build(self) -> None:
        state, value = self.pop(), self.top()
        take = self._states.get(type(value))
        if take is None:
            raise UnsafePickleError(
                f"the pickle sets the state of a {type(value).__name__}; only an OrderedDict may "
                "have one; nothing was executed"
            )
        take(value, state)


_OPCODES: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": _Machine.protocol,
    b"(": _Machine.mark,
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.unpack("B")),
    b"M": lambda m: m.push(m.unpack("H")),
    b"J": lambda m: m.push(m.unpack("i")),
    b"\x8a": _Machine.long,
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    b"X": lambda m: m.text(m.unpack("I"), "utf-8"),
    b"U": lambda m: m.text(m.unpack("B"), "ascii"),  # SHORT_BINSTRING, of Python 2
    b"C": lambda m: m.data(m.unpack("B")),
    b"B": lambda m: m.data(m.unpack("I")),
    b")": lambda m: m.push_tuple(0),
    b"\x85": lambda m: m.push_tuple(1),
    b"\x86": lambda m: m.push_tuple(2),
    b"\x87": lambda m: m.push_tuple(3),
    b"t": _Machine.marked_tuple,
    b"]": lambda m: m.container([]),
    b"a": lambda m: m.append([m.pop()]),
    b"e": lambda m: m.append(m.pop_mark()),
    b"}": lambda m: m.container({}),
    b"s": lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    b"u": lambda m: m.set_items(m.pop_mark()),
    b"q": lambda m: m.put(m.unpack("B")),
    b"r": lambda m: m.put(m.unpack("I")),
    b"h": lambda m: m.get(m.unpack("B")),
    b"j": lambda m: m.get(m.unpack("I")),
    b"c": lambda m: m.name(m.line(), m.line()),
    # What protocol 4 writes instead: strings and names by other opcodes, frames without a meaning.
    b"\x8c": lambda m: m.text(m.unpack("B"), "utf-8"),
    b"\x93": lambda m: m.name(*[m.pop(), m.pop()][::-1]),
    b"\x94": lambda m: m.put(len(m.memo)),
    b"\x95": lambda m: m.take(8),
    b"Q": _Machine.persistent,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
}
