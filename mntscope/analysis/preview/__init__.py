"""What a container would mount, receive and pin, before it starts: its runtime's own calls, played on a snapshot.

A file is read to :class:`~mntscope.parse.manifests.containers.ContainerSpec` records. On the way to mounts,

- ``words`` understands mount options, ``files`` is what is known of paths;
- ``config`` is what a runtime is given, and ``managers`` make it of a spec, as kubelet, dockerd and podman do;
- ``steps`` are system calls, each with the function that makes it; ``runc`` and ``crun`` are profiles: lists of stages
  that make them, and ``runtimes`` knows all of them by name and version;
- ``play`` carries the steps out on the model of the host, and ``findings`` says what came of it;
- ``preview`` does all of it: :func:`preview`, and its result :class:`Preview`.
"""
