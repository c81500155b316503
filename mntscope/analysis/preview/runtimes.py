"""The runtimes that are known, and which versions of them were compared with what they do."""

from __future__ import annotations

from collections.abc import Callable

from mntscope.analysis.preview import crun, runc, systemd
from mntscope.analysis.preview.profile import Profile, Version
from mntscope.base.records import NamedTuple, replace
from mntscope.errors import UsageError
from mntscope.parse.manifests.containers import Manager


class Runtime(NamedTuple):
    """A runtime of whatever version."""

    profile: Callable[[Version], Profile]
    oldest: Version
    """Of those whose source was read."""
    newest: Version
    """Of those whose tables were compared: it is taken where nobody says which."""


RUNTIMES: dict[str, Runtime] = {
    "runc": Runtime(runc.profile, Version(1, 0, 3), Version(1, 3, 6)),
    "crun": Runtime(crun.profile, Version(1, 8), Version(1, 28)),
}

DEFAULTS: dict[Manager, str] = {"none": "runc", "kubelet": "runc", "dockerd": "runc", "podman": "crun"}
"""What each manager starts, unless it is told otherwise."""


def profile_of(text: str) -> Profile:
    """The profile that ``--runtime`` names: ``runc``, ``crun=1.8.1``.

    :raises UsageError: there is none.
    """
    name, _, version = text.partition("=")
    known = RUNTIMES.get(name)
    if known is None:
        raise UsageError(f"no runtime {name!r} is known", hint=f"there are {', '.join(RUNTIMES)}")
    found = known.profile(Version.of(version) if version else known.newest)
    if found.version < known.oldest:
        raise UsageError(f"{found} is older than any that is known", hint=f"the oldest is {known.oldest}")
    if found.version > known.newest:
        caveat = f"{found} is newer than any that was compared with its profile ({known.newest})"
        return replace(found, caveat=caveat)
    return found


def profile_for(manager: Manager, asked: Profile | None) -> Profile:
    """What *manager* starts containers with, if it can be *asked* for another; systemd starts its units itself."""
    if manager == "systemd":
        return systemd.PROFILE
    return profile_of(DEFAULTS[manager]) if asked is None else asked
