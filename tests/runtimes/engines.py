"""docker and podman, whose command lines are alike: a container for each option, and for each way to name one."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tests.runtimes.foreseen import Asked
from tests.runtimes.packages import BUSYBOX
from tests.runtimes.scene import PLAIN, VOLUME, Failed, Scene
from tests.runtimes.target import Missing, Target

PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")


class Engine:
    """One of them, as *program* with what every container is *always* given."""

    def __init__(
        self, scene: Scene, program: str, always: Sequence[str], *, user: bool = False, kind: str = ""
    ) -> None:
        self.scene = scene
        self.kind = kind or program
        self._program = program
        self._always = always
        self._user = user

    def __call__(self, *argv: str) -> str:
        """What the program prints."""
        return self.scene.run(self._program, *argv, user=self._user)

    def load(self) -> None:
        """The image ``bb``."""
        self("import", str(BUSYBOX), "bb")

    def run(
        self, name: str, *options: str, image: str = "bb", command: Sequence[str] = ("sleep", "1d")
    ) -> Target | Missing:
        """A container, with what its user calls it."""
        shown = " ".join(options) or "(no option)"
        words = ("run", "-d", "--name", name, *self._always, *options, image, *command)
        asked = self._asked(words, image)
        try:
            number = self(*words).splitlines()[-1]
        except Failed as error:
            return Missing(shown, str(error))
        found = self.target(name, shown, number)
        return found if asked is None else replace(found, foreseen=asked.compared(found.pid))

    def _asked(self, words: Sequence[str], image: str) -> Asked | None:
        """What to ask `preview`, which does not look into an image, nor join a pod."""
        if image != "bb" or self._user or "--pod" in words:
            return None
        return Asked(shlex.join([self._program, *words]), "crun" if "crun" in words else "runc")

    def target(self, name: str, shown: str, number: str = "") -> Target:
        """One that runs."""
        pid = int(self("inspect", "-f", "{{.State.Pid}}", name))
        number = number or self("inspect", "-f", "{{.Id}}", name)
        return Target(shown, pid, (name, number, number[:12]), f"{name} ({self.kind})")

    def every_option(self, prefix: str, *, plain: bool = False) -> Iterator[Target | Missing]:
        """What both take. *plain*: each propagation of a plain directory, too, in the host's root filesystem."""
        yield self.run(f"{prefix}-default")
        for how in PROPAGATIONS:
            yield self.run(f"{prefix}-{how}", "-v", f"{VOLUME}:/vol:{how}")
        if self.scene.few:
            return
        for how in PROPAGATIONS if plain else ():
            yield self.run(f"{prefix}-plain-{how}", "-v", f"{PLAIN}:/vol:{how}")
        yield self.run(f"{prefix}-ro", "-v", f"{VOLUME}:/vol:ro,rshared")
        yield self.run(f"{prefix}-mount", "--mount", f"type=bind,src={VOLUME},dst=/vol,bind-propagation=rshared")
        yield self.run(f"{prefix}-root-default", "-v", "/:/host")
        yield self.run(f"{prefix}-root-rslave", "-v", "/:/host:rslave")
        yield self.run(f"{prefix}-root-rshared", "-v", "/:/host:rshared")
        yield self.run(f"{prefix}-named1", "-v", "data:/data")
        yield self.run(f"{prefix}-named2", "-v", "data:/data", "--read-only", "--tmpfs", "/scratch")
        yield self.run(f"{prefix}-pidhost", "--pid", "host")
        yield self.run(f"{prefix}-proc", "-v", "/proc:/host/proc:ro", "-v", "/sys:/host/sys:ro")

    def ways_to_name(self, prefix: str) -> Iterator[Target | Missing]:
        """Renamed, paused, exec'ed and stopped: names only."""
        for what in ("renamed", "paused", "exec"):
            made = self.run(f"{prefix}-to-be-{what}")
            if isinstance(made, Missing):
                yield made
                continue
            name = f"{prefix}-to-be-{what}"
            try:
                if what == "renamed":
                    self("rename", name, f"{prefix}-renamed")
                    name = f"{prefix}-renamed"
                elif what == "paused":
                    self("pause", name)
                else:
                    self("exec", "-d", name, "sleep", "2d")
            except Failed as error:
                yield Missing(f"a container that is {what}", str(error))
                continue
            found = self.target(name, f"a container that is {what}")
            yield Target(found.option, found.pid, found.calls, found.shown, names_only=True)
        yield self._stopped(f"{prefix}-stopped")

    def _stopped(self, name: str) -> Target | Missing:
        made = self.run(name)
        if isinstance(made, Missing):
            return made
        self("stop", "-t", "0", name)
        words = [word for call in made.calls for word in (f"container:{call}", call)]
        told = (f"{self.kind} {name}", "does not run")
        return Target("a container that is stopped", 0, names_only=True, refused=dict.fromkeys(words, told))
