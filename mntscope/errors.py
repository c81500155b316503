"""What can go wrong, in kinds a caller can tell apart.

Every error of mntscope is a :class:`MntscopeError`: one line that says what happened, where, and what
to do. The command line prints it after ``mntscope: `` and exits with :attr:`MntscopeError.exit_code`;
nothing below the command line prints or exits.
"""

from __future__ import annotations

import errno as _errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


class MntscopeError(Exception):
    """Trouble, in one line: *what* happened, *where* (a file, a process, a path), and what to do (*hint*)."""

    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what, where, hint)
        self.what = what
        self.where = where
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # BaseException would call the class with args alone, and the kinds below take keywords.
        return _restore, (type(self), self.args, self.__dict__.copy())

    def __str__(self) -> str:
        located = f"{self.where}: {self.what}" if self.where else self.what
        return f"{located}; {self.hint}" if self.hint else located


class UsageError(MntscopeError):
    """A command line or an argument that cannot be understood; says which word, and what is accepted."""


class TargetError(MntscopeError):
    """A TARGET that names nothing: no such process, namespace, label or file, or one that went away."""


class AccessError(MntscopeError):
    """Something that exists but may not be read or changed by this user."""


class NoAnswerError(MntscopeError):
    """Something that was looked at, or asked for, and did not answer in time: a filesystem whose server is gone."""


class MissingLibraryError(MntscopeError, ImportError):
    """A library that is not here: mntscope.pyz brings none that is compiled, and some come with an *extra* only."""

    def __init__(self, what: str, library: str, *, where: str = "", extra: str = "") -> None:
        wheel = f"pip install {library}, or mntscope's wheel, which brings it"
        super().__init__(
            f"{what} takes {library}, which this Python does not have",
            where=where,
            hint=f"pip install 'mntscope[{extra}]'" if extra else wheel,
        )


class RefusedError(MntscopeError):
    """Something mntscope could do and will not, because it would harm; the hint says what to do instead."""


class KernelError(MntscopeError, OSError):
    """A system call that failed: which call, on what, with which errno."""

    def __init__(self, call: str, number: int, *, where: str = "", hint: str = "") -> None:
        name = _errno.errorcode.get(number, str(number))
        super().__init__(f"{call}: {name} ({os.strerror(number)})", where=where, hint=hint)
        self.call = call
        # After __init__: OSError's, which is one of the bases, takes its first arguments for these.
        self.errno = number
        self.strerror = os.strerror(number)
        self.filename = where or None

    @property
    def errno_name(self) -> str:
        """The errno as the kernel names it: ``EINVAL``."""
        return _errno.errorcode.get(self.errno or 0, str(self.errno))


class ParseError(MntscopeError, ValueError):
    """Text that is not in the language it should be in, with the place where it stops being so.

    *line* and *column* count from 1, the column in bytes; *text* is the offending line. ``str(error)`` is
    one line; :meth:`caret` draws the line with a mark under the column.
    """

    def __init__(
        self, what: str, *, file: str, line: int, column: int, text: bytes, expected: str = "", hint: str = ""
    ) -> None:
        if expected:
            what = f"{what}, expected {expected}"
        super().__init__(what, where=f"{file}:{line}:{column}", hint=hint)
        self.file = file
        self.line = line
        self.column = column
        self.text = text
        self.expected = expected

    def caret(self, width: int = 72) -> str:
        """Two lines: the part of the text around the column, and a ``^`` under the column."""
        start = max(0, self.column - 1 - width // 2)
        shown = self.text[start : start + width]
        # One character a byte, so that the mark stands where the column says.
        drawn = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in shown)
        return f"{drawn}\n{' ' * (self.column - 1 - start)}^"


def _restore(kind: type[MntscopeError], args: tuple[object, ...], state: dict[str, object]) -> MntscopeError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error
