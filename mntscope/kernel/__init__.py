"""What asks the kernel, for all that lies above.

:mod:`~mntscope.kernel.syscalls` has the system calls, one function each, and :mod:`~mntscope.kernel.mount_ids` the ids
it gives to mounts. :mod:`~mntscope.kernel.process` forks, and nothing else does; what is forked gives one answer
(:mod:`~mntscope.kernel.worker`) or does one thing after the other (:mod:`~mntscope.kernel.channel`).
:mod:`~mntscope.kernel.walk` goes a path name by name, and :mod:`~mntscope.kernel.trust` says who can have written what
is there. :mod:`~mntscope.kernel.proc_context` opens a proc of another PID namespace, on old kernels by
:mod:`~mntscope.kernel.empty_handed`, a program of its own.
"""
