"""``python -m tests.preview [PATH ...]``: every configuration, previewed and then started by each runtime, as root.

Without a PATH it is the machine's own runc and crun; those of other versions are named by their files.
"""

from __future__ import annotations

import sys

from tests.preview import scene
from tests.preview.configurations import CONFIGURATIONS
from tests.support.throwaway import in_fork, own_mounts


def wrong(runtime: scene.Program, name: str) -> list[str]:
    """How the preview of one configuration differs from what is, on a host of its own."""
    own_mounts()
    scene.make()
    return scene.differences(CONFIGURATIONS[name], runtime)


def main(paths: list[str]) -> int:
    """Print how many were right, and each that was not; 1 if there is any, 2 if there is no runtime."""
    asked: list[tuple[str, str | None]] = [(path.rpartition("/")[2], path) for path in paths]
    asked = asked or [("runc", None), ("crun", None)]
    programs = [found for name, path in asked if (found := scene.installed(name, path))]
    missed = 0
    for program in programs:
        right = 0
        for name in CONFIGURATIONS:
            lines = in_fork(wrong, program, name)
            right += not lines
            for line in lines[:4]:
                print(f"{program.profile}: {name}: {line}", file=sys.stderr)  # noqa: T201 - a program for developers
        print(f"{program.profile}: {right} of {len(CONFIGURATIONS)} as previewed")  # noqa: T201
        missed += len(CONFIGURATIONS) - right
    return 1 if missed else 0 if programs else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
