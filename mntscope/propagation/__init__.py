"""What the kernel does to the mounts of every namespace when one process mounts, moves or unmounts.

Read it in this order: :mod:`nodes` and :mod:`world` (mounts, peer groups, masters, as the kernel keeps them),
:mod:`paths` (how a path finds its mount), :mod:`clone` (where peers and slaves come from), :mod:`attach` and
:mod:`umount` (what every receiver gets and loses), :mod:`change_type` (who stays with whom), :mod:`simulate`, which
puts them together into one operation, and :mod:`in_turn` (very many of them).
"""

from mntscope.propagation.operations import FLAGS, OPERATIONS, Operation, operation
from mntscope.propagation.outcome import Effect, Outcome
from mntscope.propagation.simulation import in_turn
from mntscope.propagation.syscalls import simulate

__all__ = ["FLAGS", "OPERATIONS", "Effect", "Operation", "Outcome", "in_turn", "operation", "simulate"]
