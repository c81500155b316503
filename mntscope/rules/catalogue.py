"""The rules there are: an explicit list, and what other packages add to it.

A rule is a file of this package that defines ``RULE``, and its line here. Its page in ``docs/rules``, what ``explain``,
SARIF and the completion say of it, and the tests of its cases (``tests.support.rule_cases``) follow from these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module

from mntscope.base.entry_points import entry_points
from mntscope.base.suggestion import did_you_mean
from mntscope.errors import UsageError
from mntscope.rules.rule import Rule

_FILES = (
    "mnt001_leak_to_host",
    "mnt002_proc_would_cover_host",
    "mnt003_foreign_proc",
    "mnt004_host_proc_covered",
    "mnt005_pid_namespace_without_mount_namespace",
    "mnt006_bidirectional_volume",
    "mnt007_container_to_container",
    "mnt008_pinned_host_mount",
    "mnt009_not_shared",
    "mnt010_mount_explosion",
    "mnt011_near_mount_max",
    "mnt012_hidden_propagation",
    "mnt013_master_not_seen",
    "mnt014_leftover_mount",
    "mnt015_namespace_without_process",
    "mnt016_writable_host_path",
    "mnt017_missing_mount_flags",
    "mnt018_quadratic_mountinfo",
    "mnt019_proc_refused",
)

RULES: tuple[Rule, ...] = tuple(import_module(f"mntscope.rules.{file}").RULE for file in _FILES)
"""Ours, by id."""

ENTRY_POINTS = "mntscope.rules"
"""The entry point group by which a package brings rules of its own: each names a Rule, or several in a list."""


def installed() -> tuple[Rule, ...]:
    """Ours, and those that installed packages bring, by name of the entry point.

    :raises UsageError: a package's rule cannot be loaded, is no rule, or has an id that is taken or ours.
    """
    rules = list(RULES)
    for entry in entry_points(ENTRY_POINTS):
        where = f"entry point {entry.name} = {entry.value}"
        try:
            loaded = entry.load()
        except Exception as error:  # whatever a foreign module does when it is imported
            raise UsageError(f"its rules cannot be loaded ({error!r})", where=where) from error
        for rule in loaded if isinstance(loaded, Iterable) else [loaded]:
            if not isinstance(rule, Rule):
                raise UsageError(f"{type(rule).__name__} is no mntscope.rules.Rule", where=where)
            if re.fullmatch(r"MNT\d+", rule.id) or any(other.id == rule.id for other in rules):
                raise UsageError(f"the id {rule.id} is taken", where=where, hint="MNT and a number is mntscope's own")
            rules.append(rule)
    return tuple(rules)


def by_id(wanted: str, rules: Iterable[Rule] = RULES) -> Rule:
    """The rule with this id or name, in capitals or not.

    :raises UsageError: there is none.
    """
    known = list(rules)
    for rule in known:
        if wanted.upper() == rule.id.upper() or wanted.lower() == rule.name.lower():
            return rule
    names = [name for rule in known for name in (rule.name, rule.id)]
    hint = did_you_mean(wanted, names, most=3) or f"there are {', '.join(rule.id for rule in known)}"
    raise UsageError(f"there is no rule {wanted!r}", hint=hint)
