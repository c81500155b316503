"""Carrying out the start of one container on the model of its host."""

from __future__ import annotations

from collections.abc import Sequence

from mntscope.analysis.preview.config import Config
from mntscope.analysis.preview.files import NOTHING_KNOWN, Files
from mntscope.analysis.preview.profile import Profile
from mntscope.analysis.preview.steps import Refused, Start, Step, carry_out
from mntscope.base.records import dataclass
from mntscope.model import Mount
from mntscope.propagation import Simulation
from mntscope.propagation.operations import CloseHandle


@dataclass(frozen=True, slots=True)
class Played:
    """How the start of a container went."""

    config: Config
    profile: Profile
    steps: tuple[Step, ...]
    """Those that were carried out, also those that failed."""
    refused: Refused | None
    """Why it did not start."""
    on_host: tuple[tuple[Mount, Step], ...]
    """What has appeared on the host meanwhile, beside what it was to, with the call that did it."""
    uncertain: tuple[str, ...]

    @property
    def started(self) -> bool:
        """Whether it has a mount namespace of its own now, and is in it."""
        return self.refused is None


def play(
    config: Config,
    profile: Profile,
    simulation: Simulation,
    *,
    host: str,
    files: Files,
    rootfs_files: Files = NOTHING_KNOWN,
    before: Sequence[Step] = (),
) -> Played:
    """Start the container: what its manager does on the host *before*, then the stages of its runtime.

    :raises MntscopeError: the host's tables claim more than can be followed.
    """
    doubts: dict[str, None] = {profile.caveat: None} if profile.caveat else {}
    if config.spec.terminal:
        doubts[f"{config.label} has a terminal, which {profile.name} mounts at /dev/console as well"] = None
    done: list[Step] = []
    for step in before:
        simulation.carry_out(step.operation)
        done.append(step)

    def doubt(text: str) -> None:
        doubts[text] = None

    start = Start(config, simulation, host, files, rootfs_files, doubt)
    refused: Refused | None = None
    for stage in profile.stages:
        steps, refused = carry_out(stage(profile, start), start)
        done += steps
        if refused is not None:
            break
    for handle in sorted(start.handles):
        if handle in start.attached:
            continue
        simulation.carry_out(CloseHandle(host, handle))
    return Played(config, profile, tuple(done), refused, tuple(start.on_host.items()), tuple(doubts))
