"""What the manual pages say beyond what a command's ``--help`` does: more about it, its files, its environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Listed: TypeAlias = Sequence[tuple[str, str]]
"""Terms, and what is to be said of each."""

OVERVIEW = """\
A process in a mount namespace of its own mounts /proc, and the host's /proc breaks: the two mounts are peers, and
what is mounted on one is mounted on both. mntscope shows which mounts leak between mount namespaces, why, what the
kernel would do if a command ran, and the command that stops it: on the running machine, and in what was captured from
one.

Only isolate and undo change a mount of yours, and only in the target's namespace. run, lab and selftest work in
namespaces of their own. All others only read."""

ABOUT: Mapping[str, str] = {
    "diff": """\
Compares the mounts of a process with those of the host, and names each leak: what is mounted or unmounted at one of
its paths and would reach the host, or the other way round; where it would land; how bad that is; and the mount(8)
command that stops it. With PATH it says what a mount there would do, and an umount. Two captures are compared as
before and after: namespaces born and gone, mounts that came and went, leaks that are new and healed.""",
    "ns": """\
Lists every mount namespace once: whose it is, what keeps it alive (a process, a thread, a bind mount of its file, a
descriptor), and whether it leaks to the host.""",
    "tree": """\
Shows the mounts of a namespace as findmnt(8) does, but with names in place of numbers: who else is in the peer group
of a mount, from which one it receives, what hides it, and where on the host its events land.""",
    "graph": """\
Draws peer groups, their members and masters: a box for all groups whose members are in the same namespaces, red where
events cross.""",
    "holders": """\
Finds what keeps a filesystem busy: other mount namespaces, mounts on top, processes with open files, loop devices and
swap space; also where the host has unmounted it, be it lazily. For each it prints the command that frees it.""",
    "audit": """\
Asks rules about the machine, each of which knows what is normal on a host with systemd, Docker or Kubernetes, and
reports what they find, with evidence and a remedy.""",
    "watch": """\
Tells what is mounted, unmounted and moved in every mount namespace, by whom, and where it goes, a line for each system
call; namespaces that come and go; leaks that appear, and that are healed. By fanotify(7) where the kernel has its mount
events (Linux 6.15), else by poll(2); what that cannot see is said in the beginning. It can record all of it: every
command then reads the machine as it was at any moment (--snapshot FILE@12:04:31).""",
    "explain": "Prints the page of a rule of mntscope-audit(1), or the list of all.",
    "predict": """\
Computes what the kernel would do, in every mount namespace of the machine, down to the errno; the model follows
fs/namespace.c and fs/pnode.c of Linux, and mntscope-selftest(1) compares it with the running kernel.""",
    "preview": """\
Plays the system calls that runc or crun would make for a container, and what kubelet, dockerd or podman do before, on a
model of a host: from a Kubernetes manifest, a compose file, a command line or an OCI bundle. It says where the
container could mount on the host, what it would not receive, what of the host's it would keep in use, and what its
start alone would change, each with the line that says so.""",
    "isolate": """\
Takes the mount that contains a path out of its peer group and, with --mount-proc, mounts a proc of the target's own
PID namespace. It plans the fewest actions, shows what each is predicted to do, writes a journal, acts in a process
that has entered the target's namespaces, and reads every namespace again after each action: where one does not show
what was predicted, all is put back.""",
    "undo": "Puts back what a journal of mntscope-isolate(1) tells of, the peer group with its number included.",
    "run": "Runs a command in a new mount namespace in which it may mount what it likes, /proc first of all.",
    "capture": """\
Reads every mount namespace of the machine, or those of some processes, into one file of compressed JSON, which every
command reads in place of the running machine.""",
    "fleet": """\
Takes the snapshots of many hosts together. fleet add SRC .. -o DATASET reads what is new of files, directories, globs
and URLs, and keeps it as plain Parquet; fleet report DATASET says what is found on how many hosts, and in what few are
different from all others; fleet diff DATASET DAY1 DAY2 says what is new, gone, and other than it was.""",
    "lab": """\
Tells, act by act, how a mount leaks and what stops it. Every act happens on the running kernel, in throwaway
namespaces with a host of their own, and what is told was measured there.""",
    "selftest": """\
Carries out random mounts, moves, umounts and changes of propagation in throwaway namespaces, predicts each of them
beforehand, and compares.""",
    "completion": """\
Prints the script that makes a shell complete commands, options, processes, containers, paths, and what is in a
snapshot.""",
}

_TABLES = ("/proc/PID/mountinfo", "the mount table of a process; proc_pid_mountinfo(5) describes it")
_NAMES = ("/run/runc, /run/crun, /run/docker, /run/containerd, /var/lib/containers", "the names of containers")
_JOURNALS: Listed = (
    ("/run/mntscope/", "journals, if none is named: those of root"),
    ("~/.local/state/mntscope/", "those of others; see XDG_STATE_HOME"),
)
_LIVE: Listed = (_TABLES, _NAMES)

FILES: Mapping[str, Listed] = {
    "": (*_LIVE, *_JOURNALS, ("/etc/mntscope.toml", "settings of mntscope-audit(1)")),
    "audit": (
        *_LIVE,
        ("./mntscope.toml", "settings: waivers, severities, roles; only if nobody else can have written them"),
        ("./pyproject.toml", "the same, in its table [tool.mntscope], where there is no mntscope.toml"),
        ("/etc/mntscope.toml", "the same, where neither has any"),
    ),
    "isolate": (*_LIVE, *_JOURNALS),
    "undo": (*_LIVE, *_JOURNALS),
    "capture": (*_LIVE, ("HOSTNAME-TIME.mntscope.json.gz", "what is written, if no other FILE is named; mode 0600")),
    "explain": (),
    "fleet": (
        (
            "DATASET/",
            "mounts/, namespaces/, findings/ and hosts/, parted by day; and manifest/, what was read; mode 0600",
        ),
    ),
    "completion": (_NAMES,),
    "lab": (),
    "selftest": (),
}
"""By command; :data:`_LIVE` are those of every other."""

LIVE = _LIVE

ENVIRONMENT: Listed = (
    ("COLUMNS", "how wide a report is; otherwise as wide as the terminal, or 100 columns in a file or a pipe"),
    ("NO_COLOR", "if it is not empty, no colours"),
    ("FORCE_COLOR", "if it is not empty, colours in a pipe or a file too"),
    ("LC_ALL", "if it is C or POSIX, trees are drawn in ASCII; where it is not set, LC_CTYPE counts,"),
    ("LC_CTYPE", "and where that is not,"),
    ("LANG", "which is C where it is not set either"),
    ("TERM", "if it is dumb, no colours"),
    ("NOTIFY_SOCKET", "where mntscope-watch(1) tells systemd that it is ready, as sd_notify(3) has it"),
    (
        "MNTSCOPE_DEBUG",
        "if it is not empty, an internal error is shown with its traceback, and what profiles a command can tell of it",
    ),
)
STATE: Listed = (("XDG_STATE_HOME", "where users other than root have their journals: in mntscope below it"),)
DATA: Listed = (("XDG_DATA_HOME", "where rootless containers have their state; otherwise ~/.local/share"),)

INTERRUPTED = """\
130, 143: interrupted (SIGINT), or told to end (SIGTERM); nothing is left half done. 141: nobody read the output any
more. Trouble is one line on standard error that says what, where, and what to do."""

SEE_ALSO = ("mount_namespaces(7)", "proc_pid_mountinfo(5)", "mount(8)", "unshare(1)", "nsenter(1)")
