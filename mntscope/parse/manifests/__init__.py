"""Files that start containers, as records: Kubernetes manifests, compose files, OCI bundles, units, command lines.

Pure, as all of :mod:`mntscope.parse`: bytes in, a :class:`~mntscope.parse.manifests.containers.Manifest` out, whose
every part knows its line and column.
"""
