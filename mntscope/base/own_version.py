"""Which mntscope this is."""

from __future__ import annotations


def own_version() -> str:
    """Its version, as its installation has it; ``unknown`` where it runs without having been installed."""
    # It takes longer to import than the rest of a command.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mntscope")
    except PackageNotFoundError:
        return "unknown"
