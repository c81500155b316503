"""Records that cost little to define are, to all who use them, what dataclasses and typing make."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import typing
from typing import Any, ClassVar

import pytest

from mntscope.base.records import NamedTuple, dataclass, field, replace
from mntscope.propagation.operations import MountNew

# At runtime mntscope.base.records has its own; type checkers see those of the standard library in either case.


@dataclass(frozen=True, slots=True)
class Light:
    """A record."""

    name: str
    number: int = 3
    note: str | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("a number is not negative")

    @property
    def twice(self) -> int:
        return 2 * self.number


@dataclasses.dataclass(frozen=True, slots=True)
class Heavy:
    """A record."""

    name: str
    number: int = 3
    note: str | None = dataclasses.field(default=None, compare=False, repr=False)


Light_: Any = Light
"""For what type checkers know to be wrong."""


class Pair(NamedTuple):
    """Two of them."""

    first: str
    second: int = 2

    @property
    def both(self) -> str:
        return f"{self.first}{self.second}"


class TypedPair(typing.NamedTuple):
    """Two of them."""

    first: str
    second: int = 2


def test_fields_have_their_values_and_defaults() -> None:
    assert (Light("a").name, Light("a").number, Light("a", note="n").note) == ("a", 3, "n")
    assert Light("a", 4).twice == 8


@pytest.mark.parametrize(
    ("arguments", "named"), [((), {}), (("a", 1, None, 2), {}), (("a",), {"nmae": 1}), ((1,), {"name": 2})]
)
def test_wrong_arguments_are_refused_in_the_same_words(arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    def said(kind: Any) -> str:
        with pytest.raises(TypeError) as refused:
            kind(*arguments, **named)
        return str(refused.value).replace(kind.__name__, "")

    assert said(Light) == said(Heavy)


def test_post_init_is_called() -> None:
    with pytest.raises(ValueError, match="not negative"):
        Light("a", -1)


def test_equal_records_are_equal_and_hash_alike() -> None:
    assert Light("a", note="x") == Light("a", note="y")
    assert hash(Light("a", note="x")) == hash(Light("a", note="y"))
    assert Light("a") != Light("b")
    assert Light_("a") != Heavy("a")


def test_it_shows_itself_alike() -> None:
    assert repr(Light("a", note="x")) == repr(Heavy("a", note="x")).replace("Heavy", "Light")


def test_it_is_frozen() -> None:
    record: Any = Light("a")
    with pytest.raises(dataclasses.FrozenInstanceError, match="assign to field 'name'"):
        record.name = "b"
    with pytest.raises(dataclasses.FrozenInstanceError, match="assign to field 'new'"):
        record.new = 1
    with pytest.raises(dataclasses.FrozenInstanceError, match="delete field 'name'"):
        del record.name
    assert not hasattr(record, "__dict__")


def test_a_record_of_a_subclass_is_one_of_it() -> None:
    class Lighter(Light):
        pass

    class Lightest(Light):
        __slots__ = ()

    for kind in (Lighter, Lightest):
        for record in (kind("a", 5), replace(kind("a", 4), number=5)):
            assert (type(record), record.name, record.number, record.note) == (kind, "a", 5, None)
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(record, "name", "b")  # noqa: B010 - as those do who get round the type checker


def test_it_is_copied_and_pickled() -> None:
    record = Light("a", 5, "note")
    for other in (copy.copy(record), copy.deepcopy(record), pickle.loads(pickle.dumps(record))):
        assert other == record
        assert other.note == "note"


def test_replace_changes_what_is_named() -> None:
    for change in (replace, dataclasses.replace):
        assert change(Light("a", 5, "note"), number=6) == Light("a", 6)
        assert change(Light("a", 5, "note"), number=6).note == "note"
    with pytest.raises(TypeError, match="nmae"):
        replace(Light_("a"), nmae="b")
    with pytest.raises(ValueError, match="not negative"):
        replace(Light("a"), number=-1)


def test_the_standard_library_takes_it_for_a_dataclass() -> None:
    record = Light("a")
    assert dataclasses.is_dataclass(Light)
    assert [each.name for each in dataclasses.fields(Light)] == [each.name for each in dataclasses.fields(Heavy)]
    assert [each.compare for each in dataclasses.fields(record)] == [True, True, False]
    assert dataclasses.asdict(record) == {"name": "a", "number": 3, "note": None}
    assert inspect.signature(Light) == inspect.signature(Heavy)
    assert typing.get_type_hints(Light) == typing.get_type_hints(Heavy)
    match record:
        case Light("a", number):
            assert number == 3


def test_a_record_may_add_fields_to_another() -> None:
    @dataclass(frozen=True, slots=True)
    class Base:
        kind: ClassVar[str] = ""
        name: str

    @dataclass(frozen=True, slots=True)
    class Longer(Base):
        kind = "longer"
        size: int = 1

    @dataclass(frozen=True, slots=True)
    class Same(Base):
        kind = "same"

    for number in range(300):
        longer = Longer("a", number)
        assert (longer.kind, longer.name, longer.size) == ("longer", "a", number)
        assert (Same("a").kind, Same("a").name) == ("same", "a")
        assert longer == Longer(name="a", size=number) != Longer("b", number)
        assert replace(longer, name="b") == Longer("b", number)
        frozen: Any = longer
        with pytest.raises(dataclasses.FrozenInstanceError):
            frozen.name = "b"
    assert [each.name for each in dataclasses.fields(Longer)] == ["name", "size"]
    assert str(inspect.signature(Longer)) == "(name: 'str', size: 'int' = 1) -> None"
    assert Base("a") != Same("a")
    assert pickle.loads(pickle.dumps(MountNew("A", "proc", "proc", "/proc"))).target == "/proc"


def test_what_is_called_often_goes_on_as_before() -> None:
    # A method is compiled once it has been called a hundred times.
    @dataclass(frozen=True, slots=True)
    class Often:
        name: str
        number: int = 3
        note: str | None = field(default=None, compare=False)

        def __post_init__(self) -> None:
            if self.number < 0:
                raise ValueError("a number is not negative")

    class Couple(NamedTuple):
        first: str
        second: int = 2

    wrong: Any = Often
    for number in range(300):
        record = Often("a", number, note=str(number))
        assert (record.name, record.number, record.note) == ("a", number, str(number))
        assert record == Often("a", number=number)
        assert record != Often("b", number)
        assert hash(record) == hash(Often("a", number))
        assert replace(record, name="b") == Often("b", number)
        assert replace(record, name="b").note == str(number)
        assert (Couple("a"), Couple("a", number), Couple(second=number, first="b")) == (
            ("a", 2),
            ("a", number),
            ("b", number),
        )
        with pytest.raises(ValueError, match="not negative"):
            Often("a", -1)
        with pytest.raises(TypeError, match="'number'"):
            wrong("a", number, number=number)
        assert str(inspect.signature(Couple)) == "(first: 'str', second: 'int' = 2)"


def test_what_a_subclass_does_does_not_hang_on_how_often_it_did_it() -> None:
    @dataclass(frozen=True, slots=True)
    class Plain:
        name: str

    class Checked(Plain):
        def __post_init__(self) -> None:
            raise ValueError("a record without __post_init__ calls none")

    assert {Checked("a").name for _ in range(300)} == {"a"}


def test_a_class_may_be_made_of_it() -> None:
    class Named(Light):
        def __init__(self) -> None:
            super().__init__("named")

    assert Named().name == Named().name == "named"


def test_named_tuples_are_those_of_typing() -> None:
    pair = Pair("a")
    assert pair == ("a", 2) == TypedPair("a")
    assert (pair.first, pair.second, pair.both) == ("a", 2, "a2")
    assert (Pair._fields, Pair._field_defaults) == (TypedPair._fields, TypedPair._field_defaults)
    assert pair._replace(second=3)._asdict() == {"first": "a", "second": 3}
    assert repr(pair) == "Pair(first='a', second=2)"
    assert pickle.loads(pickle.dumps(pair)) == pair
    assert str(inspect.signature(Pair)) == "(first: 'str', second: 'int' = 2)"
    assert typing.get_type_hints(Pair) == typing.get_type_hints(TypedPair)
    assert Pair.__doc__ == "Two of them."


def test_to_define_and_use_records_loads_no_dataclasses() -> None:
    program = (
        "import sys; from mntscope.model import Mount, View; View('a', ()) == View('b', ()); hash(View('a', ()));"
        " repr(View('a', ())); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"dataclasses", "inspect"} & set(loaded)
