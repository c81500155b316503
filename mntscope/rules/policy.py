"""What a site makes of the findings: which are accepted, until when and why; how severe a rule is; who is what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase

from mntscope.graph import Severity
from mntscope.rules.roles import Role
from mntscope.rules.rule import Finding

MOST = 100
"""So many findings of one rule are reported; of more, the worst, and how many are left out."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """Findings that are known and accepted. Globs are those of :mod:`fnmatch`; ``*`` crosses slashes."""

    rule: str
    """Glob of the rule's id or name."""
    reason: str
    """Why it is accepted; never empty."""
    subject: str = "*"
    """Glob of whom it is about: its name in other captures too (``docker web``), or the view's label."""
    path: str = "*"
    """Glob of the path it is about; a finding about no path has the path ``""``."""
    expires: date | None = None
    """The last day on which it counts; ``None``: it does not expire."""

    def fits(self, finding: Finding) -> bool:
        """Whether it is meant, whatever the date."""
        rule, names = finding.rule, {finding.subject, *finding.key[:1]}
        return (
            (fnmatchcase(rule.id, self.rule) or fnmatchcase(rule.name, self.rule))
            and any(fnmatchcase(name, self.subject) for name in names)
            and fnmatchcase(finding.path or "", self.path)
        )

    def expired(self, today: date) -> bool:
        """Whether it counts no more."""
        return self.expires is not None and self.expires < today


@dataclass(frozen=True, slots=True)
class Policy:
    """A site's settings. The default changes nothing."""

    waivers: tuple[Waiver, ...] = ()
    severities: Mapping[str, Severity] = field(default_factory=dict)
    """By rule id or name: no finding of the rule is worse, and what would have been the rule's worst is this."""
    roles: tuple[tuple[str, Role], ...] = ()
    """Glob of a namespace's name or label, and what it is there for; the first that fits counts."""
    baseline: frozenset[str] = frozenset()
    """Fingerprints of what is known already."""
    most: int = MOST

    def severity(self, finding: Finding) -> Severity:
        """How severe a finding is here."""
        given = self.severities.get(finding.rule.id) or self.severities.get(finding.rule.name)
        return given or finding.severity
