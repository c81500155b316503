"""Where things lie: paths as the kernel's dentry paths, without touching any filesystem.

A path here is absolute and normal (``/``, ``/a``, ``/a/b``); what is under what is decided component by
component, so ``/ab`` is not under ``/a``.
"""

from __future__ import annotations


def under(path: str, root: str) -> bool:
    """Whether *path* is *root* or lies below it."""
    return path == root or root == "/" or path.startswith(root + "/")


def relative(path: str, root: str) -> str:
    """The rest of *path* below *root*: ``""`` for the root itself, else ``/a/b``; *path* must be under *root*."""
    if root == "/":
        return "" if path == "/" else path
    return path[len(root) :]


def below(root: str, rest: str) -> str:
    """The place *rest* (as :func:`relative` gives it) below *root*; the inverse of :func:`relative`."""
    if not rest:
        return root
    return rest if root == "/" else root + rest


def normal(path: str) -> str:
    """*path* made absolute and free of ``//``, ``/./`` and a trailing slash; ``..`` goes up lexically."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
