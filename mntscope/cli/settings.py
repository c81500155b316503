"""What a site has decided: ``mntscope.toml``, or ``[tool.mntscope]`` of a ``pyproject.toml``.

::

    fail-on = "high"                  # the least severity that makes the audit fail: "medium" unless said, or "never"

    [severity]                        # by the id or name of a rule
    MNT016 = "low"

    [[role]]                          # what a namespace is there for (the roles of mntscope.rules.roles)
    subject = "docker build-*"        # glob of its name
    role = "runtime"

    [[waiver]]                        # a finding that is accepted
    rule = "MNT006"                   # glob of its id or name
    subject = "docker csi-*"          # glob of whose it is; any unless said
    path = "/var/lib/kubelet/*"       # glob of where it is; any unless said
    reason = "mounts volumes for pods"
    expires = 2027-01-31              # the last day on which it counts; never unless said
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, TypeVar

from mntscope.base.suggestion import did_you_mean
from mntscope.cli.files import read, read_own
from mntscope.errors import NoAnswerError, RefusedError, UsageError
from mntscope.graph import Severity
from mntscope.graph.severity import SEVERITIES
from mntscope.rules import ROLES, Policy, Role, Rule, Waiver, by_id

PLACES = ("mntscope.toml", "pyproject.toml", "/etc/mntscope.toml")
"""Where settings are looked for, the first that has some. A ``pyproject.toml`` without ``[tool.mntscope]`` has none."""

MOST = 1 << 20
"""A settings file is no longer than this, in bytes."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings, and the file that holds them."""

    policy: Policy = field(default_factory=Policy)
    fail_on: Severity | None = "medium"
    file: str | None = None


def find(file: str | None, rules: Iterable[Rule]) -> Settings:
    """The settings in *file*, or in the first of :data:`PLACES`; the default where there are none.

    What *file* says is the caller's word; what is merely found must be this user's or root's (:func:`read_own`).

    :raises AccessError: a file that may not be read.
    :raises RefusedError: settings that were found, and that another user may have written.
    :raises UsageError: a file that does not say what it should; which key, and what is accepted.
    """
    known = tuple(rules)
    if file is not None:
        return _Reader(file, known).settings(_table(read(file, MOST), file) or {})
    for place in PLACES:
        data = _found(place)
        table = None if data is None else _table(data, place)
        if table is not None:
            return _Reader(place, known).settings(table)
    return Settings()


def _found(place: str) -> bytes | None:
    """What is found in one of :data:`PLACES`: settings accept findings, so those of a stranger are none."""
    about = b"mntscope" if place == "pyproject.toml" else b""
    hint = "name it with --settings FILE, or give --no-settings"
    try:
        return read_own(place, MOST, about=about)
    except (RefusedError, NoAnswerError) as error:
        raise RefusedError(error.what, where=place, hint=hint) from None


def _table(data: bytes, path: str) -> dict[str, Any] | None:
    import tomllib

    if len(data) > MOST:
        raise UsageError(f"settings are no longer than {MOST} bytes", where=path)
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"it is no TOML: {error}", where=path) from error
    if os.path.basename(path) != "pyproject.toml":
        return table
    tool = table.get("tool")
    found = tool.get("mntscope") if isinstance(tool, dict) else None
    return found if isinstance(found, dict) else None


class _Reader:
    """Takes the settings apart, key by key, so that nothing that was written is passed over in silence."""

    def __init__(self, file: str, rules: tuple[Rule, ...]) -> None:
        self.file = file
        self.rules = rules

    def settings(self, table: dict[str, Any]) -> Settings:
        self.only(table, "", ("fail-on", "severity", "role", "waiver"))
        fail_on = self.one_of(table.get("fail-on", "medium"), "fail-on", (*SEVERITIES, "never"))
        severities = self.table(table.get("severity", {}), "severity")
        return Settings(
            policy=Policy(
                waivers=tuple(self.each(table, "waiver", self.waiver)),
                severities={
                    self.rule(rule): self.one_of(value, f"severity.{rule}", SEVERITIES)
                    for rule, value in severities.items()
                },
                roles=tuple(self.each(table, "role", self.role)),
            ),
            fail_on=next((severity for severity in SEVERITIES if severity == fail_on), None),
            file=self.file,
        )

    def waiver(self, table: Mapping[str, Any], at: str) -> Waiver:
        self.only(table, at, ("rule", "subject", "path", "reason", "expires"))
        reason = self.text(table, at, "reason")
        if not reason.strip():
            raise self.wrong(f"{at}.reason", "why it is accepted, for whoever reads it later")
        expires = table.get("expires")
        if expires is not None and (not isinstance(expires, date) or isinstance(expires, datetime)):
            raise self.wrong(f"{at}.expires", "a date: 2027-01-31")
        return Waiver(
            rule=self.text(table, at, "rule"),
            reason=reason,
            subject=self.text(table, at, "subject", "*"),
            path=self.text(table, at, "path", "*"),
            expires=expires,
        )

    def role(self, table: Mapping[str, Any], at: str) -> tuple[str, Role]:
        self.only(table, at, ("subject", "role"))
        return self.text(table, at, "subject"), self.one_of(table.get("role"), f"{at}.role", ROLES)

    def rule(self, wanted: str) -> str:
        try:
            return by_id(wanted, self.rules).id
        except UsageError as error:
            raise UsageError(error.what, where=f"{self.file}: severity", hint=error.hint) from error

    def each(self, table: Mapping[str, Any], key: str, read: Callable[[Mapping[str, Any], str], T]) -> Iterable[T]:
        found = table.get(key, [])
        if not isinstance(found, list):
            raise self.wrong(key, f"tables: [[{key}]]")
        return [read(self.table(each, f"{key} {number}"), f"{key} {number}") for number, each in enumerate(found, 1)]

    def only(self, table: Mapping[str, Any], at: str, keys: tuple[str, ...]) -> None:
        for key in table:
            if key not in keys:
                hint = did_you_mean(key, keys) or f"there are {', '.join(keys)}"
                raise UsageError(f"no setting {f'{at}.{key}' if at else key!r}", where=self.file, hint=hint)

    def table(self, value: Any, at: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong(at, "a table")
        return value

    def text(self, table: Mapping[str, Any], at: str, key: str, default: str | None = None) -> str:
        value = table.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(f"{at}.{key}", "a text")
        return value

    def one_of(self, value: Any, at: str, allowed: tuple[T, ...]) -> T:
        for each in allowed:
            if isinstance(value, str) and value == each:
                return each
        raise self.wrong(at, f"one of {', '.join(map(str, allowed))}")

    def wrong(self, at: str, expected: str) -> UsageError:
        return UsageError(f"{at} must be {expected}", where=self.file)


def with_baseline(settings: Settings, path: str) -> Settings:
    """The settings, and as known what the audit in *path* (its JSON) found.

    :raises AccessError: it may not be read.
    :raises UsageError: it is no audit.
    """
    import json

    data = read(path, MOST_BASELINE)
    other = UsageError("it is no audit in JSON", where=path, hint="make one with mntscope audit --format json -o FILE")
    if len(data) > MOST_BASELINE:
        raise other
    try:
        document = json.loads(data)
        if document["schema"] != "mntscope.audit/1":
            raise other
        found = [each["fingerprint"] for each in document["findings"]] + list(document["known"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise other from error
    if not all(isinstance(fingerprint, str) for fingerprint in found):
        raise other
    return replace(settings, policy=replace(settings.policy, baseline=frozenset(found)))


MOST_BASELINE = 1 << 28
"""A baseline is no longer than this, in bytes."""
