"""Frozen dataclasses, and named tuples, that cost little to define.

:mod:`dataclasses` compiles six methods for each class when it is defined, and loads :mod:`inspect` to do so: a command
that has forty classes on its way would wait longer for them than for its answer. Here a method that is worth it is
compiled when it is first called, and what else a dataclass has (:func:`dataclasses.fields`,
:func:`~dataclasses.asdict`, a signature) is made when it is asked for. And
:class:`typing.NamedTuple` compiles the type of every field, once more, to see whether it might be one.
"""

from __future__ import annotations

from collections import _tuplegetter  # type: ignore[attr-defined]
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NoReturn

__all__ = ["NamedTuple", "dataclass", "draft_of", "field", "replace"]


class _Field:
    """What is said of a field beside its type."""

    __slots__ = ("compare", "default", "repr", "required")

    def __init__(self, *, compare: bool = True, repr: bool = True, **default: Any) -> None:  # noqa: A002 - its name there
        self.compare = compare
        self.repr = repr
        self.required = not default
        self.default = default.get("default")


class _Later:
    """An attribute that the class would have, were it made by :mod:`dataclasses`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: Any) -> Any:
        import dataclasses
        import inspect

        fields: dict[str, _Field] = owner.__frozen__
        twin: dict[str, Any] = {
            name: dataclasses.field(compare=field.compare, repr=field.repr)
            if field.required
            else dataclasses.field(default=field.default, compare=field.compare, repr=field.repr)
            for name, field in fields.items()
        }
        twin |= {"__annotations__": owner.__annotations__, "__module__": owner.__module__}
        made: Any = dataclasses.dataclass(frozen=True)(type(owner.__name__, (), twin))
        found = inspect.signature(made) if self.name == "__signature__" else getattr(made, self.name)
        setattr(owner, self.name, found)
        return found


def _dataclass(*, frozen: Literal[True], slots: Literal[True]) -> Any:  # noqa: ARG001 - what all of these are
    """As :func:`dataclasses.dataclass`: of a class without bases that are dataclasses, and without ClassVars."""
    return _made


def _made(cls: type) -> type:
    body = dict(cls.__dict__)
    fields = {name: _field_of(body.pop(name, _Field())) for name in body["__annotations__"]}
    body.pop("__dict__", None)
    body.pop("__weakref__", None)
    names = tuple(fields)
    body = {**_METHODS, **body, "__slots__": names, "__match_args__": names, "__frozen__": fields}
    body |= {name: _Later() for name in ("__dataclass_fields__", "__dataclass_params__", "__signature__")}
    return type(cls)(cls.__name__, cls.__bases__, body)


def _field_of(given: Any) -> _Field:
    """What a class body says of a field: :func:`field`, or a default."""
    return given if isinstance(given, _Field) else _Field(default=given)


class _Frozen:
    """The methods that :func:`dataclass` gives to a class; some replace themselves by compiled ones when called."""

    __frozen__: dict[str, _Field]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        _compiled(self, "__init__")(self, *arguments, **named)

    def __eq__(self, other: object) -> Any:
        return _compiled(self, "__eq__")(self, other)

    def __hash__(self) -> Any:
        return _compiled(self, "__hash__")(self)

    def __repr__(self) -> str:
        facts = (f"{name}={getattr(self, name)!r}" for name, field in self.__frozen__.items() if field.repr)
        return f"{type(self).__qualname__}({', '.join(facts)})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> NoReturn:
        from dataclasses import FrozenInstanceError

        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __getstate__(self) -> list[Any]:
        return [getattr(self, name) for name in self.__frozen__]

    def __setstate__(self, state: list[Any]) -> None:
        for name, value in zip(self.__frozen__, state, strict=True):
            object.__setattr__(self, name, value)

    def __replace__(self, /, **changes: Any) -> Any:
        return _compiled(self, "__replace__")(self, **changes)


_become = vars(object)["__class__"].__set__
"""Sets the class of an object, whatever that says of it."""


def draft_of(made: type) -> type:
    """A class with the slots of a record's, and nothing that freezes them.

    To fill a frozen record, ``object.__setattr__`` would have to be called for each field. Plain assignments to the
    same slots, after which it is said that the object is that record, take a quarter of the time.
    """
    return type("_Draft", made.__bases__, {"__slots__": made.__slots__})  # type: ignore[attr-defined]


_METHODS = {name: method for name, method in vars(_Frozen).items() if callable(method)}


def _compiled(record: object, name: str) -> Any:
    """A method of the class of *record*, as one would write it; it is that from now on."""
    made: Any = next(base for base in type(record).__mro__ if "__frozen__" in vars(base))
    fields: dict[str, _Field] = made.__frozen__
    compared = [field for field, it in fields.items() if it.compare]
    mine, its = ("".join(f"{whose}.{field}, " for field in compared) for whose in ("self", "other"))
    lines = {
        "__init__": [
            f"def __init__(self, {', '.join(fields)}):",
            " if self.__class__ is made:",
            "  become(self, draft)",
            *(f"  self.{field} = {field}" for field in fields),
            "  self.__class__ = made",
            # A subclass may have more slots, or a dictionary.
            f" else: self.__setstate__([{', '.join(fields)}])",
        ],
        "__replace__": [
            f"def __replace__(self, /, *, {', '.join(f'{field}=KEPT' for field in fields)}):",
            f" return self.__class__({', '.join(f'self.{f} if {f} is KEPT else {f}' for f in fields)})",
        ],
        "__eq__": [
            "def __eq__(self, other):",
            f" return ({mine}) == ({its}) if other.__class__ is self.__class__ else NotImplemented",
        ],
        "__hash__": ["def __hash__(self):", f" return hash(({mine}))"],
    }[name]
    if name == "__init__" and hasattr(made, "__post_init__"):
        lines.append(" self.__post_init__()")
    there: dict[str, Any] = {"made": made, "draft": draft_of(made), "become": _become, "KEPT": object()}
    exec("\n".join(lines), there)  # noqa: S102 - names of fields, as the source has them
    method = there[name]
    method.__qualname__ = f"{made.__qualname__}.{name}"
    if name == "__init__":
        method.__defaults__ = tuple(field.default for field in fields.values() if not field.required)
    setattr(made, name, method)
    return method


def _replace(record: Any, /, **changes: Any) -> Any:
    """As :func:`dataclasses.replace`, which it asks about records of other kinds."""
    if hasattr(record, "__frozen__"):
        return record.__replace__(**changes)
    import dataclasses

    return dataclasses.replace(record, **changes)


class _Named(type):
    """Makes of a class with annotations the named tuple of these fields."""

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        if not bases:
            return super().__new__(cls, name, bases, body)
        fields = tuple(body["__annotations__"])
        defaults = {field: body.pop(field) for field in fields if field in body}
        getters = {field: _tuplegetter(at, f"Alias for field number {at}") for at, field in enumerate(fields)}
        facts = {"__slots__": (), "__match_args__": fields, "_fields": fields, "_field_defaults": defaults}
        return type(name, (tuple,), {**_TUPLE_METHODS, **getters, **body, **facts})


class _Tuple:
    """The methods of a named tuple, as :func:`collections.namedtuple` has them, which compiles each class's own.

    Here only ``__new__`` is compiled, when it is first called, and replaces itself by what came of it.
    """

    _fields: tuple[str, ...]
    _field_defaults: dict[str, Any]

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        made: Any = next(base for base in cls.__mro__ if "_fields" in vars(base))
        there: dict[str, Any] = {"new": tuple.__new__}
        names = ", ".join(made._fields)
        exec(f"def __new__(_cls, {names}):\n return new(_cls, ({names},))", there)  # noqa: S102 - names of fields
        method = there["__new__"]
        method.__defaults__ = tuple(made._field_defaults.values())
        method.__annotations__ = made.__annotations__
        method.__qualname__ = f"{made.__qualname__}.__new__"
        made.__new__ = staticmethod(method)
        return method(cls, *arguments, **named)

    @classmethod
    def _make(cls, values: Iterable[Any]) -> Any:
        return cls(*values)

    def _replace(self: Any, /, **changes: Any) -> Any:
        return type(self)(**{**self._asdict(), **changes})

    def _asdict(self: Any) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self: Any) -> str:
        facts = (f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
        return f"{type(self).__name__}({', '.join(facts)})"

    def __getnewargs__(self: Any) -> tuple[Any, ...]:
        return tuple(self)


_TUPLE_METHODS = {
    name: vars(_Tuple)[name] for name in ("__new__", "_make", "_replace", "_asdict", "__repr__", "__getnewargs__")
}


if TYPE_CHECKING:
    # To those who check types they are what they stand for.
    from dataclasses import dataclass, field, replace
    from typing import NamedTuple
else:
    dataclass, field, replace = _dataclass, _Field, _replace

    class NamedTuple(metaclass=_Named):
        """The base of a named tuple, written as with :class:`typing.NamedTuple`; types are not looked at."""
