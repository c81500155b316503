"""What lets a record become a data frame, and show itself in a notebook, without knowing how.

Records live on the lower floors, and know neither pandas nor HTML. A record that should do more than carry facts bears
one of these classes as a base; they open the module that can when they are first asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    import pandas as pd

    Frame: TypeAlias = pd.DataFrame
else:
    Frame = object  # what annotations say without loading pandas

T_co = TypeVar("T_co", covariant=True)


def above(module: str) -> Any:
    """The module of mntscope with this name, of whatever floor.

    The one place from which a lower floor reaches a higher one. It goes by name: what is imported at the top of a file
    is loaded with it, and a command is to start without pandas.
    """
    from importlib import import_module

    return import_module(f"mntscope.{module}")


class Framed:
    """Something that is told of in a table."""

    __slots__ = ()

    def frame(self) -> Frame:
        """It as a data frame of pandas; :mod:`mntscope.frames` says what the columns are."""
        frame: Frame = above("frames").frame(self)
        return frame


class Shown:
    """Something that shows itself in a notebook: :mod:`mntscope.jupyter.display` says how."""

    __slots__ = ()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """Its representations by media type, as IPython asks for them."""
        from mntscope.base.search_path import without_current_directory

        with without_current_directory():
            return above("jupyter.display").mimebundle(self, include, exclude)


class Records(tuple[T_co, ...], Framed, Shown):
    """Several records of one *kind* (their class, known even where there are none): a tuple that has a frame.

    *told* is what is to be known of them all to make a table of them, and they do not say themselves.
    """

    kind: type
    told: dict[str, Any]

    def __new__(cls, records: Iterable[T_co] = (), kind: type = object, **told: Any) -> Records[T_co]:
        """They, and what is told of them."""
        made = super().__new__(cls, records)
        made.kind = kind
        made.told = told
        return made
