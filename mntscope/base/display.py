"""What lets a record become a data frame, and show itself in a notebook, without knowing how.

Records live on the lower floors, and know neither pandas nor HTML. A record that should do more than carry facts bears
one of these classes as a base; they open the module that can when they are first asked.
"""

from __future__ import annotations

from collections.abc import Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias, TypeVar

    import pandas as pd

    Frame: TypeAlias = pd.DataFrame
    T_co = TypeVar("T_co", covariant=True)
else:
    Frame = object  # what annotations say without loading pandas


def import_later(module: str) -> Any:
    """The module of mntscope with this name (``frames``, ``analysis.namespaces``), imported when it is asked for.

    The one place from which a lower floor reaches a higher one. It goes by name: what is imported at the top of a file
    is loaded with it, and a command is to start without pandas.
    """
    from importlib import import_module

    return import_module(f"mntscope.{module}")


class Framed:
    """Something that can be had as a table."""

    __slots__ = ()

    def frame(self) -> Frame:
        """This as a data frame of pandas; :mod:`mntscope.frames` says what the columns are."""
        frame: Frame = import_later("frames").frame(self)
        return frame


class Shown:
    """Something that shows itself in a notebook: :mod:`mntscope.jupyter.display` says how."""

    __slots__ = ()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """Its representations by media type, as IPython asks for them."""
        from mntscope.base.search_path import without_current_directory

        with without_current_directory():
            return import_later("jupyter.display").mimebundle(self, include, exclude)


class Records(tuple["T_co", ...], Framed, Shown):
    """Several records of one *kind* (their class, known even where there are none): a tuple that has a frame.

    *context* is what a table of them needs to know and they do not say themselves, as keyword arguments of the function
    that makes it: the snapshot that mounts are of, the label of the namespace that leaks.
    """

    kind: type
    context: dict[str, Any]

    def __new__(cls, records: Iterable[T_co] = (), kind: type = object, **context: Any) -> Records[T_co]:
        """A tuple of the *records*, with their *kind* and *context*."""
        made = super().__new__(cls, records)
        made.kind = kind
        made.context = context
        return made
