"""Which mntscope this is."""

VERSION = "0.1.0"
"""The one place that says so: what is installed is described by it (``pyproject.toml``).

To ask the installation would take longer than most commands do.
"""
