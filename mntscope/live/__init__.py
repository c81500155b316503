"""The running system: nothing else of mntscope reads /proc or asks the kernel about namespaces."""

from __future__ import annotations

from mntscope.live.capture import capture

__all__ = ["capture"]
