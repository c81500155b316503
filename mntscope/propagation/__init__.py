r"""What the kernel does to the mounts of every namespace when one process mounts, moves or unmounts.

Pure: a :class:`~mntscope.snapshot.Snapshot` and an operation in, an :class:`Outcome` out. The names are the kernel's
(fs/namespace.c, fs/pnode.c and fs/mount.h), and each function that models one of the kernel's says which. What is
modelled is Linux 6.18; what older ones do otherwise stands where it matters, with the version.

Terms, of mount_namespaces(7) and of the kernel:

- A *mount* shows a directory of a filesystem, its *root*, on a *mountpoint*: a directory of its *parent* mount.
- An *event* is that something is attached to, or unmounted from, a mountpoint of a mount.
- A *receiver* of a mount's events has the same done to it, if that directory lies under its own root.
- An *overmount* is mounted on the root of another mount, and so covers it; one on another, they are a *stack*.
- A *detached* tree is held by a descriptor only (open_tree(2), fsmount(2)), in an *anonymous* namespace.

**A peer group.** A copy of a shared mount (a bind, a new namespace) is its peer. Peers receive each other's events, and
what they get are peers again::

        host                     box
     /  shared:1  <---------->  /  shared:1        mount -t tmpfs t /mnt, in either,
     |                          |
     +- /mnt shared:2  <----->  +- /mnt shared:2   makes both of these

**Master and slave.** A slave receives from its master, a peer group, and sends nothing back. It may be shared as well:
then it forwards what it receives to its own peers and slaves, with a new group for each group on the way::

        host                   middle                         end
     /  shared:1  -------->  /  shared:2 master:1  -------->  /  master:2
     |                       |                                |
     +- /mnt shared:3  --->  +- /mnt shared:4 master:3  --->  +- /mnt master:4

If the middle does not show the directory (its root is another), it gets nothing, but the end still does: then from the
host itself, ``master:3``. When the last member of a group goes, its slaves move to the group's own master.

**A tuck.** What a receiver has mounted there already is not hidden by what it receives. The new mount goes beneath, on
the same mountpoint, and the old one is put on top of it, as the new overmount. An umount undoes that: what covered
the mount that goes is *reparented*, and slides down::

     before                   after `mount t /mnt` in a peer          after `umount /mnt` in the peer

     /  shared:1              /  shared:1                              /  shared:1
     |                        |                                        |
     +- /mnt  (old)           +- /mnt  shared:2  (new)                 +- /mnt  (old)
                                 |
                                 +- /mnt  (old)

Whose slave a copy is, and what an umount leaves standing in its receivers, is where the kernel is subtle:
:func:`attach.find_master`, :func:`umount.trim_ancestors` and :func:`umount.handle_locked`.

>>> from mntscope import Snapshot
>>> from mntscope.propagation import Simulation, simulate
>>> from mntscope.propagation.operations import MountNew, Umount
>>> machine = Snapshot.from_mountinfo(
...     {
...         "host": b"1 0 0:1 / / rw shared:1 - tmpfs root rw\n2 1 0:2 / /mnt rw - tmpfs old rw\n",
...         "box": b"3 0 0:1 / / rw shared:1 - tmpfs root rw\n",
...     }
... )
>>> tucked = simulate(machine, MountNew("box", "tmpfs", "new", "/mnt"))
>>> [(effect.namespace, effect.change, effect.path, effect.crosses) for effect in tucked.effects]
[('host', 'mount', '/mnt', True), ('box', 'mount', '/mnt', False)]
>>> print(tucked.snapshot.mountinfo("host").decode(), end="")
1 0 0:1 / / rw shared:1 - tmpfs root rw
2 5 0:2 / /mnt rw - tmpfs old rw
5 1 0:3 / /mnt rw,relatime shared:2 - tmpfs new rw

Several in turn, where what comes next depends on what came before:

>>> simulation = Simulation(tucked.snapshot)
>>> while simulation.mounted_at("box", "/mnt"):
...     print(simulation.run(Umount("box", "/mnt", lazy=True)).errno)
None
>>> print(simulation.snapshot.mountinfo("host").decode(), end="")
1 0 0:1 / / rw shared:1 - tmpfs root rw
2 1 0:2 / /mnt rw - tmpfs old rw

The files, in the order in which they build on each other:

- ``operations``, ``outcome``: what is asked, and what comes out
- ``mounts``: mounts, peer groups, namespaces and root directories, as the kernel keeps them
- ``world``: all of them, and what had to be assumed
- ``copied``: which mounts are likely to be locked
- ``reconstruct``, ``tables``: a world from a snapshot, and a snapshot from a world
- ``errno``, ``lookup``: how a call fails; how a path finds its mount
- ``clone``: where peers and slaves come from
- ``attach``, ``umount``: what every receiver gets, and loses
- ``change_type``: who stays with whom
- ``mount_options``: what becomes of options that are set
- ``namespace_file``: mounts of what keeps a namespace alive
- ``syscalls``: all this put together, with the checks of each system call
- ``effects``, ``umount_effects``: what has changed, from two snapshots, or noted on the way
- ``simulation``: one operation, or several: :func:`simulate`, :func:`simulate_all`, :class:`Simulation`
"""

from mntscope.propagation.effects import own_labels
from mntscope.propagation.operations import FLAGS, OPERATIONS, Operation, operation
from mntscope.propagation.outcome import Effect, Outcome
from mntscope.propagation.simulation import Simulation, simulate, simulate_all
from mntscope.propagation.syscalls import APART, BUSY
from mntscope.propagation.world import KEPT

__all__ = [
    "APART",
    "BUSY",
    "FLAGS",
    "KEPT",
    "OPERATIONS",
    "Effect",
    "Operation",
    "Outcome",
    "Simulation",
    "operation",
    "own_labels",
    "simulate",
    "simulate_all",
]
