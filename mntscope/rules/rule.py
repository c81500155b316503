"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, get_args, overload

from mntscope.analysis.remedies import Command
from mntscope.base.display import Shown
from mntscope.base.records import dataclass
from mntscope.graph import Member, Severity
from mntscope.propagation import Effect

if TYPE_CHECKING:
    from mntscope.rules.machine import Machine

Confidence = Literal["certain", "likely", "possible"]
"""``certain``: the tables say so, and the harm follows. ``likely``: it does unless something unusual was meant.
``possible``: worth a look."""
CONFIDENCES: tuple[Confidence, ...] = get_args(Confidence)
"""The surest first."""


class Deferred(Sequence[Command]):
    """Commands that are worked out when somebody looks at them first; otherwise as a tuple of them.

    To prove that a remedy does no harm takes longer than to find what is wrong, and most who ask only count.
    """

    __slots__ = ("_commands", "_work")

    def __init__(self, work: Callable[[], Sequence[Command]]) -> None:
        """*work* is called once at most; if it fails, there are no commands."""
        self._work = work
        self._commands: tuple[Command, ...] | None = None

    def _worked_out(self) -> tuple[Command, ...]:
        if self._commands is None:
            try:
                self._commands = tuple(self._work())
            except Exception:  # noqa: BLE001 - as with a rule that fails: the report of all else is not to be lost
                self._commands = ()
        return self._commands

    @overload
    def __getitem__(self, at: int) -> Command: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Command, ...]: ...
    def __getitem__(self, at: int | slice) -> Command | tuple[Command, ...]:
        return self._worked_out()[at]

    def __len__(self) -> int:
        return len(self._worked_out())

    def __eq__(self, other: object) -> bool:
        return self._worked_out() == (other._worked_out() if isinstance(other, Deferred) else other)

    def __hash__(self) -> int:
        return hash(self._worked_out())

    def __repr__(self) -> str:
        return repr(self._worked_out())

    def __reduce__(self) -> tuple[Any, ...]:
        # What is to be worked out stays in this process: copies, and other processes, get what came of it.
        return tuple, (self._worked_out(),)


@dataclass(frozen=True, slots=True)
class Reference:
    """Where to read on."""

    title: str
    """``mount_namespaces(7)``, ``CIS Docker Benchmark 5.19``."""
    url: str


class More(TypedDict, total=False):
    """What a :class:`Finding` may have beside what it must have."""

    evidence: Evidence
    path: str | None
    commands: Sequence[Command]
    advice: str
    present: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong with a machine. Each has a file of its own, and a page made of these texts."""

    id: str
    """``MNT001``; never given to another rule."""
    name: str
    """In kebab-case: ``leak-to-host``."""
    severity: Severity
    """The worst that it finds; a finding may be less."""
    confidence: Confidence
    """The best it can tell; a finding may be less sure."""
    summary: str
    """What it detects, in one line without a full stop."""
    why: str
    """Why that matters: paragraphs, in Markdown without headings."""
    fix: str
    """What to do about it: paragraphs, in Markdown without headings."""
    references: tuple[Reference, ...]
    check: Callable[[Machine], Iterable[Finding]]
    """Finds it. Pure; in time about linear in the machine's mounts."""
    present: bool = False
    """Whether what it finds is damage that there is, and not what somebody could do; a finding may be otherwise."""

    def finding(
        self,
        subject: str,
        message: str,
        key: tuple[str, ...],
        *,
        severity: Severity | None = None,
        confidence: Confidence | None = None,
        **more: Unpack[More],
    ) -> Finding:
        """A finding of this rule, as severe and as certain as the rule says unless told otherwise."""
        more.setdefault("present", self.present)
        return Finding(self, subject, message, key, severity or self.severity, confidence or self.confidence, **more)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a finding rests on."""

    mounts: tuple[Member, ...] = ()
    """The mounts it is about, the one to change first, each with the label of the view that shows it."""
    peer_group: tuple[str, int] | None = None
    """Device and number of the group through which it works."""
    lands_at: tuple[tuple[str, str], ...] = ()
    """Where events arrive: label and path."""
    effects: tuple[Effect, ...] = ()
    """What the kernel is predicted to do if it happens."""
    facts: tuple[tuple[str, str], ...] = ()
    """Whatever else was seen: names and values, for people."""


@dataclass(frozen=True, slots=True)
class Finding(Shown):
    """Something that a rule found wrong."""

    rule: Rule
    subject: str
    """The label of the view whose namespace it is about."""
    message: str
    """One sentence. It quotes names as they are: not yet fit for a terminal."""
    key: tuple[str, ...]
    """What makes it the same finding in another capture of the machine, beside the rule: whose namespace it is (by
    name, not by pid) and the paths concerned. No pids, mount IDs, device or group numbers: these change."""
    severity: Severity
    confidence: Confidence
    evidence: Evidence = Evidence()
    path: str | None = None
    """Where in the subject's namespace, if it is about one place."""
    commands: Sequence[Command] = ()
    """What puts it right, to be run as root on the host, one after the other; none where only advice can be given.
    A tuple, or :class:`Deferred` where it takes long to work out."""
    advice: str = ""
    """What to do beside the commands, or instead of them: where a configuration is to be changed for good."""
    present: bool = False
    """Whether the damage is done, and not only possible: such findings come first among those of their severity."""

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that stay the same as long as it is the same finding: rule and key."""
        import hashlib

        # Lone surrogates, of names that are not UTF-8, have no encoding but this.
        text = "\0".join((self.rule.id, *self.key)).encode("utf-8", "surrogatepass")
        return hashlib.sha256(text).hexdigest()[:32]
