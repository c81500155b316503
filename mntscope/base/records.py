"""Frozen dataclasses, and named tuples, that cost little to define.

:mod:`dataclasses` compiles six methods for each class when it is defined, and loads :mod:`inspect` to do so: a command
that has forty classes on its way would wait longer for them than for its answer. Here a method is compiled once it has
been called often, as few are, and what else a dataclass has (:func:`dataclasses.fields`, :func:`~dataclasses.asdict`, a
signature) is made when it is asked for. And :class:`typing.NamedTuple` compiles the type of every field, once more, to
see whether it might be one.

Nor is :mod:`typing` loaded, which takes as long as all of argparse does: where a command passes on its way to a small
answer, modules ask it for nothing that is there when they run (``TYPE_CHECKING = False``).
"""

from __future__ import annotations

from collections import _tuplegetter  # type: ignore[attr-defined]
from collections.abc import Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, NoReturn

__all__ = ["Generic", "NamedTuple", "dataclass", "draft_of", "field", "replace"]

_OFTEN = 100
"""How many times a method is interpreted field by field: to compile it takes as long as this."""


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
        annotations = {name: text for made in reversed(owner.__mro__) for name, text in _annotations(made).items()}
        twin |= {"__annotations__": {name: annotations[name] for name in fields}, "__module__": owner.__module__}
        made: Any = dataclasses.dataclass(frozen=True)(type(owner.__name__, (), twin))
        found = inspect.signature(made) if self.name == "__signature__" else getattr(made, self.name)
        setattr(owner, self.name, found)
        return found


def _dataclass(*, frozen: Literal[True], slots: Literal[True]) -> Any:  # noqa: ARG001 - what all of these are
    """As :func:`dataclasses.dataclass`; bases that are dataclasses must be of these."""
    return _made


def _made(cls: type) -> type:
    body = dict(cls.__dict__)
    own = [name for name, text in _annotations(cls).items() if not text.startswith("ClassVar")]
    fields: dict[str, _Field] = getattr(cls, "__frozen__", {}) | {
        name: _field_of(body.pop(name, _Field())) for name in own
    }
    body.pop("__dict__", None)
    body.pop("__weakref__", None)
    names = tuple(fields)
    body = {**_METHODS, **body, "__slots__": own, "__match_args__": names, "__frozen__": fields, "__calls__": {}}
    body["__defaults__"] = {name: field.default for name, field in fields.items() if not field.required}
    body |= {name: _Later() for name in ("__dataclass_fields__", "__dataclass_params__", "__signature__")}
    return type(cls)(cls.__name__, cls.__bases__, body)


def _annotations(cls: type) -> dict[str, str]:
    """Those of the class itself, as text."""
    found: dict[str, str] = vars(cls).get("__annotations__", {})
    return found


def _field_of(given: Any) -> _Field:
    """What a class body says of a field: :func:`field`, or a default."""
    return given if isinstance(given, _Field) else _Field(default=given)


class _Frozen:
    """The methods that :func:`dataclass` gives to a class; some replace themselves by compiled ones."""

    __frozen__: dict[str, _Field]

    def __init__(self: Any, *arguments: Any, **named: Any) -> None:
        made = _definition_of(self)
        values = _values(made.__frozen__, made.__defaults__, arguments, named)
        if values is None or _called_often(made, "__init__"):
            # Of arguments that are wrong, it says what is.
            _compiled(made, "__init__")(self, *arguments, **named)
            return
        self.__setstate__(values)
        if hasattr(made, "__post_init__"):
            self.__post_init__()

    def __eq__(self, other: object) -> Any:
        if often := _compiled_if_often(self, "__eq__"):
            return often(self, other)
        return _compared(self) == _compared(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self) -> Any:
        often = _compiled_if_often(self, "__hash__")
        return often(self) if often else hash(_compared(self))

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
        if often := _compiled_if_often(self, "__replace__"):
            return often(self, **changes)
        return self.__class__(**{**dict(zip(self.__frozen__, self.__getstate__(), strict=True)), **changes})


_become = vars(object)["__class__"].__set__
"""Sets the class of an object, whatever that says of it."""


def draft_of(made: type) -> type:
    """A class with the slots of a record's, and nothing that freezes them.

    To fill a frozen record, ``object.__setattr__`` would have to be called for each field. Plain assignments to the
    same slots, after which it is said that the object is that record, take a quarter of the time.
    """
    own: Any = made
    return type("_Draft", own.__bases__, {"__slots__": own.__slots__, "__setattr__": object.__setattr__})


_METHODS = {name: method for name, method in vars(_Frozen).items() if callable(method)}


def _definition_of(record: object) -> Any:
    """The class with the fields: that of *record*, or one which that is derived from."""
    return next(base for base in type(record).__mro__ if "__frozen__" in vars(base))


def _compared(record: Any) -> tuple[Any, ...]:
    return tuple([getattr(record, name) for name, field in record.__frozen__.items() if field.compare])


def _values(
    fields: Iterable[str], defaults: dict[str, Any], arguments: tuple[Any, ...], named: dict[str, Any]
) -> list[Any] | None:
    """What a call gives to each of the *fields*; ``None`` where its arguments are wrong."""
    given = {**dict(zip(fields, arguments)), **named}  # noqa: B905 - too many are found out below
    values = {**defaults, **given}
    if len(given) < len(arguments) + len(named) or values.keys() != set(fields):
        return None
    return [values[field] for field in fields]


def _compiled_if_often(record: object, name: str) -> Any:
    made = _definition_of(record)
    return _compiled(made, name) if _called_often(made, name) else None


def _called_often(made: Any, name: str) -> bool:
    calls: dict[str, int] = made.__calls__
    calls[name] = calls.get(name, 0) + 1
    return calls[name] > _OFTEN


def _compiled(made: Any, name: str) -> Any:
    """A method of the class *made*, as one would write it; it is that from now on."""
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
        method.__defaults__ = tuple(made.__defaults__.values())
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
        more = {"__calls__": {}, "__signature__": _Signature()}
        return type(name, (tuple,), {**_TUPLE_METHODS, **getters, **body, **facts, **more})


class _Signature:
    """What :func:`inspect.signature` tells of a named tuple."""

    def __get__(self, instance: object, owner: Any) -> Any:
        from inspect import Parameter, Signature

        annotations, defaults = owner.__annotations__, owner._field_defaults
        kind, none = Parameter.POSITIONAL_OR_KEYWORD, Parameter.empty
        return Signature(
            [
                Parameter(name, kind, default=defaults.get(name, none), annotation=annotations[name])
                for name in owner._fields
            ]
        )


class _Tuple:
    """The methods of a named tuple, as :func:`collections.namedtuple` has them, which compiles each class's own.

    Here only ``__new__`` is compiled, once it has been called often, and replaces itself by what came of it.
    """

    _fields: tuple[str, ...]
    _field_defaults: dict[str, Any]

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        made: Any = next(base for base in cls.__mro__ if "_fields" in vars(base))
        values = _values(made._fields, made._field_defaults, arguments, named)
        new: Any = tuple.__new__
        if values is not None and not _called_often(made, "__new__"):
            return new(cls, values)
        there: dict[str, Any] = {"new": new}
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
    from typing import Generic, NamedTuple
else:
    dataclass, field, replace = _dataclass, _Field, _replace

    class NamedTuple(metaclass=_Named):
        """The base of a named tuple, written as with :class:`typing.NamedTuple`; types are not looked at."""

    class Generic:
        """The base of a class of things of any type, which at runtime are all of one."""

        __slots__ = ()

        def __class_getitem__(cls, _: object) -> type:
            return cls
