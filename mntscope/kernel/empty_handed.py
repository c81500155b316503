"""A program that opens the context of a proc from within another PID namespace, and holds nothing there.

It is run by itself (:mod:`mntscope.kernel.proc_context`), as root, with three numbers: a socket, a PID namespace, and
its parent. It imports nothing of mntscope, so that nothing of mntscope is in it. What each step is against:

* another program than mntscope, without an environment: who takes it over finds no other container's tables in its
  memory, and no password;
* not dumpable, before anything else: the root of a user namespace cannot trace it (ptrace(2), access mode checks);
* a mount namespace whose only mount is empty: there is no way to a file of the host, by no root directory, working
  directory, ``..``, or setns(2) to its own namespace, which leads to that namespace's root;
* no descriptor but the socket;
* an ordinary user, without root's keys (keyrings(7)), and network, IPC and UTS namespaces of its own: no abstract
  socket of the host's (containerd-shim's was one, CVE-2020-15257), no shared memory, no signal to the host's root;
* a user namespace of its own, which has the one capability that fsopen(2) asks for (CAP_SYS_ADMIN over the mount
  namespace one is in; fs/fsopen.c), and no capability over anything else.

Only then is a process born in the other PID namespace.
"""

import array  # noqa: F401 - socket.send_fds of Python 3.14 imports it, and here no file can be read by then
import ctypes
import os
import signal
import socket
import struct
import sys

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER = 0x20000, 0x4000000, 0x8000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_MOVE, MS_REC, MS_PRIVATE = 0x1, 0x2, 0x4, 0x8, 0x2000, 0x4000, 0x40000
MNT_DETACH = 0x2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS = 1, 4, 8
CAP_SYS_ADMIN = 21
NOBODY = 65534

FSOPEN = 430
KEYCTL = {"x86_64": 250, "ppc64le": 271, "s390x": 280}
"""keyctl(2), by machine; all newer ones have the number of asm-generic/unistd.h, 219."""
KEYCTL_JOIN_SESSION_KEYRING = 1

LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> int:
    """The result of a function of the C library, which is below zero and sets errno where it fails (OSError)."""
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result: int = getattr(LIBC, name)(*words)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def dies_with(parent: int) -> None:
    """End when the parent ends; a change of user takes that back."""
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def leave_the_files() -> None:
    """Enter a mount namespace in which there is one mount, and nothing in it."""
    call("unshare", CLONE_NEWNS)
    call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    call("mount", b"none", b"/proc", b"tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, b"size=4k")
    os.chdir("/proc")
    try:
        call("pivot_root", b".", b".")
        call("umount2", b".", MNT_DETACH)
    except OSError:
        # The first root filesystem (initramfs) stays where it is. Covered by a mount that is locked in the user
        # namespace to come, it cannot be reached.
        call("mount", b".", b"/", None, MS_MOVE, None)
        os.chroot(".")
    os.chdir("/")


def become_nobody() -> None:
    """Another user, with keys of his own; CAP_SYS_ADMIN is kept, since a user namespace may take it to be made."""
    call("syscall", KEYCTL.get(os.uname().machine, 219), KEYCTL_JOIN_SESSION_KEYRING, None)
    call("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    # _LINUX_CAPABILITY_VERSION_3: effective, permitted and inheritable, the lower 32 first.
    only = 1 << CAP_SYS_ADMIN
    call("capset", struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", only, only, 0, 0, 0, 0))


def main(line: int, pid_namespace: int, parent: int) -> None:
    """Give up everything, have a child born in *pid_namespace* (a descriptor) that sends a context on *line*, and wait.

    What fails before the child is born is sent on *line* as an errno in digits.
    """
    call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
    dies_with(parent)
    with socket.socket(fileno=line) as channel:
        try:
            leave_the_files()
            call("setns", pid_namespace, CLONE_NEWPID)
            become_nobody()
            call("unshare", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
            dies_with(parent)
            os.closerange(0, line)
            os.closerange(line + 1, 1 << 20)
            born = os.fork()
        except OSError as error:
            channel.send(str(error.errno).encode())
            return
        if born == 0:
            # From here on it is seen there.
            try:
                call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                context = call("syscall", FSOPEN, b"proc", 0)
                socket.send_fds(channel, [b"+"], [context])
            finally:
                os._exit(0)
        os.waitpid(born, 0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
