"""A worker that gives one answer: a fork for what may wait for ever, or must be looked at in another namespace.

Whoever looks at a filesystem waits for it, and one whose server is gone (FUSE, NFS, autofs) never answers. So nothing
that belongs to somebody else is looked at by mntscope itself, but by a child, which

* is given a deadline, and is killed when it has not answered by then, unless it is only kept from the processor. It is
  not waited for: a process that waits for a server which has taken its request and never answers cannot even be killed
  before that server is;
* dies with mntscope, also when that is killed with SIGKILL (PR_SET_PDEATHSIG, or an alarm where the look takes less
  time than to load what makes that call);
* hears SIGINT and SIGTERM as any program does, and not as mntscope's handlers would have it;
* keeps neither the terminal nor a pipe open that somebody may read to its end;
* where it enters another namespace, cannot be traced from there (PR_SET_DUMPABLE): see
  :func:`~mntscope.kernel.process.untraceable`.

One that is asked more than once, and acts, is in :mod:`mntscope.kernel.channel`.
"""

from __future__ import annotations

# The half of signal that is built into the interpreter: the other takes a millisecond to load.
import _signal as signal  # type: ignore[import-not-found]
import errno
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mntscope.errors import (
    AccessError,
    KernelError,
    MntscopeError,
    NoAnswerError,
    RefusedError,
    TargetError,
    UsageError,
)
from mntscope.kernel import syscalls
from mntscope.kernel.process import dies_with, end, fork, reap, said_all, untraceable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, NoReturn, TypeVar

    T = TypeVar("T")

DEADLINE = 2.0
"""Seconds within which a look at a path is answered, or given up. A disk that spins up, or a server at the other end
of the world, answers sooner; and a command may meet several that do not."""

PATIENT = 30.0
"""Seconds for what only the kernel has a part in: it is busy then, not waiting."""

_BREATH = 0.1
"""Seconds that a wait lasts in one piece. A signal that comes just before poll(2) does not end it, and what Python is
to do about it has to wait as long."""

MOST_DESCRIPTORS = 250
"""SCM_MAX_FD is 253 (include/net/scm.h)."""

_MESSAGE = 1 << 12
"""Bytes that a pipe takes at once (PIPE_BUF)."""

Look = Callable[[], tuple[bytes, list[int]]]
"""What a worker does in a namespace: gives bytes, and descriptors, of which there may be :data:`MOST_DESCRIPTORS`."""


class WorkerLostError(MntscopeError):
    """A worker was killed, or ended without an answer."""


# What is asked of it


def in_child(act: Callable[[], bytes], *, seconds: float = DEADLINE, where: str = "", alarmed: bool = False) -> bytes:
    """What *act* gives, in a child that has so many *seconds* for it; *where* names what is looked at, in errors.

    One that is *alarmed* starts sooner, and may outlive a killed mntscope by so many seconds; when it has answered, it
    is not waited for: see :func:`~mntscope.kernel.process.reap`.

    :raises NoAnswerError: it has not answered by then.
    :raises OSError: *act* raised it there.
    :raises MntscopeError: the same; or the child was killed.
    """
    child = Child(lambda out: write_all(out, act()), alarm=seconds + 1 if alarmed else None)
    try:
        return child.answer(seconds, where)
    finally:
        child.end(wait=not alarmed)


def beside(theirs: Callable[[], bytes], ours: Callable[[], T]) -> tuple[T, bytes | None]:
    """What *ours* gives, and what *theirs* gives meanwhile in a child; ``None`` where it failed there."""
    child = Child(lambda out: write_all(out, theirs()))
    try:
        done = ours()
        try:
            return done, child.answer(PATIENT)
        except (MntscopeError, OSError):
            return done, None
    finally:
        child.end()


@contextmanager
def streamed(write: Callable[[int], None], *, seconds: float = DEADLINE, where: str = "") -> Iterator[BinaryIO]:
    """A file to read, from start to end, what *write* in a child writes to the descriptor that it is given.

    A read raises :class:`NoAnswerError` where nothing comes for so many *seconds*, and what *write* raised once all
    that came before it has been read.
    """
    import io

    child = Child(write)

    class Answer(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            data = child.read(len(buffer), seconds, where)
            buffer[: len(data)] = data
            return len(data)

    try:
        with io.BufferedReader(Answer(), 1 << 16) as file:
            yield file
    finally:
        child.end()


def inside(
    namespace: int, look: Look, *, root: int | None = None, where: str = "", seconds: float = PATIENT
) -> tuple[bytes, list[int]]:
    """What *look* returns in the mount *namespace*, at its root or with the directory *root* as root directory.

    Both are descriptors; those returned are the caller's to close. *where* names the namespace in errors.

    :raises AccessError: it may not be entered, or *look* met an :class:`OSError`, or took too long.
    """

    def at_root() -> tuple[bytes, list[int]]:
        if root is not None:
            os.fchdir(root)
            os.chroot(".")
        return look()

    try:
        return enter(namespace, at_root, where=where, seconds=seconds)
    except (OSError, NoAnswerError, WorkerLostError) as error:
        why = error.strerror if isinstance(error, OSError) else error.what
        hint = "run mntscope as root"
        raise AccessError(f"the mount namespace may not be entered ({why})", where=where, hint=hint) from error


def enter(
    namespace: int, look: Look, *, owner: int | None = None, where: str = "", seconds: float = DEADLINE
) -> tuple[bytes, list[int]]:
    """What *look* returns in the mount *namespace*; through its *owner*, a user namespace, where that takes it.

    :raises AccessError: it may not be entered.
    :raises NoAnswerError: *look* has not answered after so many *seconds*.
    :raises OSError: *look* raised it.
    """
    parent = os.getpid()

    def enter_and_look() -> tuple[bytes, list[int]]:
        untraceable()
        try:
            try:
                syscalls.setns(namespace, syscalls.CLONE_NEWNS)
            except KernelError:
                # An ordinary user has the right to do so only where he is root.
                if owner is None:
                    raise
                syscalls.setns(owner, syscalls.CLONE_NEWUSER)
                dies_with(parent)
                syscalls.setns(namespace, syscalls.CLONE_NEWNS)
        except KernelError as error:
            what = f"the mount namespace may not be entered ({error.strerror})"
            raise AccessError(what, hint="run mntscope as root (it takes CAP_SYS_ADMIN)") from error
        return look()

    return with_descriptors(enter_and_look, seconds=seconds, where=where)


def with_descriptors(look: Look, *, seconds: float = DEADLINE, where: str = "") -> tuple[bytes, list[int]]:
    """As :func:`in_child`, with descriptors, which are the caller's to close."""
    from socket import CMSG_SPACE, MSG_CMSG_CLOEXEC, SCM_RIGHTS, SOL_SOCKET, send_fds, socketpair

    ours, theirs = socketpair()

    def answer(out: int) -> None:
        ours.close()
        data, descriptors = look()
        send_fds(theirs, [b"+"], descriptors)
        theirs.close()
        write_all(out, data)

    with ours:
        with theirs:
            child = Child(answer)
        try:
            data = child.answer(seconds, where)
            # What was sent is there: the child wrote its answer after it.
            _, ancillary, _, _ = ours.recvmsg(1, CMSG_SPACE(4 * MOST_DESCRIPTORS), MSG_CMSG_CLOEXEC)
        finally:
            child.end()
    from array import array

    found = array("i")
    for level, kind, rights in ancillary:
        if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
            found.frombytes(rights[: len(rights) // 4 * 4])
    return data, list(found)


class Child:
    """A fork that writes its answer to a pipe, and ends."""

    def __init__(self, write: Callable[[int], None], *, alarm: float | None = None) -> None:
        pipes = [os.pipe(), os.pipe()]
        (self._answer, answer), (self._last, last) = pipes
        parent = os.getpid()
        try:
            self.pid = fork(lambda: _live(write, answer, last, parent, alarm))
        except KernelError:
            for fd in (*pipes[0], *pipes[1]):
                os.close(fd)
            raise
        os.close(answer)
        os.close(last)
        self._alarmed = alarm is not None
        self._gone = False

    def answer(self, seconds: float, where: str = "") -> bytes:
        """All that it writes.

        :raises NoAnswerError: nothing came for so many *seconds*, on a busy machine of its own time.
        :raises OSError: it met one.
        :raises MntscopeError: the same; or it was killed.
        """
        parts = []
        while part := self.read(1 << 20, seconds, where):
            parts.append(part)
        return b"".join(parts)

    def read(self, size: int, seconds: float, where: str = "") -> bytes:
        """The next bytes that it writes, at most *size*; none at the end. Raises as :meth:`answer`."""
        if self._gone:
            return b""
        poll = select.poll()
        poll.register(self._answer, select.POLLIN)
        begun = time.monotonic()
        while not _ready(poll, seconds):
            if self._alarmed or time.monotonic() - begun > PATIENT or not _out_of_turn(self.pid, seconds):
                self.end()
                raise NoAnswerError(f"it did not answer within {seconds:g} s", where=where)
        data = os.read(self._answer, size)
        if not data:
            # One message, shorter than a pipe takes at once; after it nothing is left to do but to end.
            last = os.read(self._last, _MESSAGE)
            if last == b"+":
                self._let_go()
            else:
                self.end()
                raise_error(last, where)
        return data

    def end(self, *, wait: bool = True) -> None:
        """End it, if it has not said all, and *wait* until it is gone, with what it has open."""
        if not self._gone:
            self._let_go()
            end(self.pid)
        elif wait:
            reap(only=self.pid)

    def _let_go(self) -> None:
        self._gone = True
        os.close(self._answer)
        os.close(self._last)
        said_all(self.pid)


def _ready(poll: select.poll, seconds: float) -> bool:
    """Whether something comes within so many *seconds*."""
    given_up = time.monotonic() + seconds
    while not poll.poll(1000 * min(seconds, _BREATH)):
        seconds = given_up - time.monotonic()
        if seconds <= 0:
            return False
    return True


def _out_of_turn(pid: int, seconds: float) -> bool:
    """Whether a child would go on if others let it have the processor, of which it has had less than *seconds*.

    One that waits for a server is not runnable (``R``: proc_pid_stat(5)); one that never ends has had its time.
    """
    parent = os.getpid()

    def look() -> bytes:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, above, *more = file.read().rpartition(b")")[2].split()
        # A /proc of another PID namespace would tell of somebody else.
        runnable = state == b"R" and int(above) == parent
        return b"+" if runnable and sum(map(int, more[9:11])) < seconds * os.sysconf("SC_CLK_TCK") else b""

    # (One with an alarm is not asked whether it is out of turn.)
    child = Child(lambda out: write_all(out, look()), alarm=DEADLINE + 1)
    try:
        return bool(child.answer(DEADLINE))
    except (MntscopeError, OSError):
        return False
    finally:
        child.end()


def _live(write: Callable[[int], None], answer: int, end: int, parent: int, alarm: float | None) -> None:
    """The life of a child: all that it answers on one pipe, and on the other how it ended, once that is whole."""
    last = b""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        if alarm is None:
            dies_with(parent)
        else:
            # The kernel does that, in the middle of a system call too.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, alarm)
        # Whoever reads mntscope's output to its end need not wait for this process's.
        nowhere = os.memfd_create("nowhere")
        # (Where one was closed from the start, its number may be that of something else.)
        for fd, stream in enumerate((sys.__stdin__, sys.__stdout__, sys.__stderr__)):
            if stream is not None:
                os.dup2(nowhere, fd)
        write(answer)
        last = b"+"
    except BrokenPipeError:
        # The other end has heard enough.
        pass
    except (MntscopeError, OSError) as error:
        last = error_in_bytes(error)
    os.close(answer)
    os.write(end, last[:_MESSAGE])


def write_all(fd: int, data: bytes) -> None:
    """Write all of *data*, of which a pipe may take a part at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


# An error on its way from one process to the other


def error_in_bytes(error: MntscopeError | OSError) -> bytes:
    """An error in words, as :func:`raise_error` takes it; of a kind that is not in :data:`_KINDS` only the message."""
    if isinstance(error, KernelError):
        words = ["KernelError", str(error.errno or 0), error.call, error.where, error.hint]
    elif isinstance(error, MntscopeError):
        words = [type(error).__name__, "0", error.what, error.where, error.hint]
    else:
        name = error.filename
        words = ["OSError", str(error.errno or errno.EIO), os.fsdecode(name) if isinstance(name, str | bytes) else ""]
    return "\0".join(words).encode("utf-8", "surrogateescape")


_MOMENT = 0.02
"""Seconds."""


def raise_error(said: bytes, where: str) -> NoReturn:
    """Raise what another process met and told; *where* it was, if that does not say so itself."""
    kind, *words = said.decode("utf-8", "surrogateescape").split("\0")
    if kind == "KernelError":
        raise KernelError(words[1], int(words[0]), where=words[2] or where, hint=words[3])
    if kind == "OSError":
        raise OSError(int(words[0]), os.strerror(int(words[0])), words[1] or None)
    known = _KINDS.get(kind, MntscopeError)
    if len(words) != 4:
        # A signal to the whole process group, which ended it, reaches this process in a moment.
        time.sleep(_MOMENT)
        raise WorkerLostError("the worker was killed", where=where)
    raise known(words[1], where=words[2] or where, hint=words[3])


_KINDS: dict[str, type[MntscopeError]] = {
    kind.__name__: kind for kind in (AccessError, RefusedError, TargetError, UsageError, NoAnswerError, WorkerLostError)
}
"""The others are told as what they all are."""
