"""The preview of a bundle, and what runc and crun really do with it on this kernel."""

from __future__ import annotations

import pytest

from mntscope.analysis.preview.runtimes import RUNTIMES
from tests.preview import scene
from tests.preview.configurations import CONFIGURATIONS, FEW, PRIVATE, VOL
from tests.support.throwaway import Scratch


def program(name: str) -> scene.Program:
    found = scene.installed(name)
    if found is None:
        pytest.skip(f"there is no {name} on this machine")
    return found


def few(runtime: scene.Program) -> dict[str, list[str]]:
    scene.make()
    return {name: wrong for name in FEW if (wrong := scene.differences(CONFIGURATIONS[name], runtime))}


@pytest.mark.parametrize("name", RUNTIMES)
def test_the_tables_of_container_and_host_are_as_previewed(scratch: Scratch, name: str) -> None:
    assert scratch(few, program(name)) == {}


def reaching(runtime: scene.Program) -> tuple[set[str], set[str]]:
    scene.make()
    config = CONFIGURATIONS["mapped, and one in it"]
    known = {row[0] for row in scene.previewed(runtime.profile, CONFIGURATIONS["nothing but the usual"])[0].host}
    foreseen, played = scene.previewed(runtime.profile, config)
    assert {mount.mount_point for mount, _ in played.on_host} == {row[0] for row in foreseen.host} - known
    real = scene.really(runtime, config)
    # On the host there was nothing at the one place: all that is there now came from the container.
    return {row[0] for row in foreseen.host} - known, {row[0] for row in real.host} - known


def test_a_bind_in_an_idmapped_one_reaches_the_host(scratch: Scratch) -> None:
    # crun takes the idmapped mount from the host before it makes anything private, and gives it no type of its own.
    foreseen, real = scratch(reaching, program("crun"))
    assert foreseen == real == {"/srv/data/sub", "/srv/slave/sub"}
    config = CONFIGURATIONS["mapped, and one in it"]
    assert [(each["source"], each["destination"]) for each in config["mounts"]][-1] == (PRIVATE, f"{VOL}/sub")


def test_it_does_not_with_runc(scratch: Scratch) -> None:
    foreseen, real = scratch(reaching, program("runc"))
    assert foreseen == real == set()


def test_there_are_enough_configurations() -> None:
    assert len(CONFIGURATIONS) >= 59
    assert {*FEW} <= CONFIGURATIONS.keys()
