"""Whose word a file is: who else than its owner can have written it, or have put another in its place.

Root can do anything, so what root has written is as good as what this very user has. What an access control list allows
anybody else shows as the group's bits (acl(5)).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


def ourselves() -> tuple[int, int]:
    """The users whose word is taken: root, and this process's own."""
    return 0, os.geteuid()


def who_else(
    status: os.stat_result, trusted: Container[int] | None = None, *, own_group: bool = False
) -> Literal["", "owner", "others"]:
    """Who else than the *trusted* users (:func:`ourselves`) can write a file, or put another into a directory.

    ``owner``: it belongs to somebody else; ``others``: its mode lets others; empty: nobody else. With *own_group* the
    group does not count where it is this user's alone.

    In a sticky directory others can put only what is not there yet; whether that matters is the caller's to say.
    """
    if status.st_uid not in (ourselves() if trusted is None else trusted):
        return "owner"
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if others and not (own_group and others == stat.S_IWGRP and _alone_in_group(status)):
        return "others"
    return ""


def _alone_in_group(status: os.stat_result) -> bool:
    """Whether a file is this user's, and its group his alone.

    Many systems give each user a group of his own, and a umask of 002. Root's group may have others in it.
    """
    from grp import getgrgid
    from pwd import getpwuid

    own = os.geteuid()
    if own == 0 or status.st_uid != own:
        return False
    with suppress(KeyError):
        group, name = getgrgid(status.st_gid), getpwuid(own).pw_name
        return group.gr_name == name and set(group.gr_mem) <= {name}
    return False
