"""``mntscope holders`` where loop devices are in between: the file of a disk, and the filesystem that it lies on."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cli.test_holders import asked, device_number, loop_device, open_exclusively, umount
from tests.cli.test_holders_scenes import commands, report, run_all
from tests.support import scenes
from tests.support.throwaway import Host


def test_a_file_leads_to_its_loop_device(machine: Host, tmp_path: Path) -> None:
    with loop_device(machine, tmp_path) as (device, mounted):
        code, document = asked(machine, tmp_path / "image")
        assert (code, document["device"]) == (0, device_number(device))
        machine.unshare("private")
        umount(machine, mounted)
        text = report(machine, tmp_path / "image", code=1)
        run_all(machine, commands(text))
        scenes.waited_for(lambda: machine.call(open_exclusively, device) != "Device or resource busy" or None)


def test_a_file_behind_a_loop_device_keeps_its_filesystem(machine: Host, tmp_path: Path) -> None:
    """The image of a disk lies on the volume: umount says busy, though no process has it open."""
    scenes.need("losetup")
    volume = scenes.volume(machine, tmp_path / "volume")
    machine.call(lambda: os.truncate(os.open(volume / "image", os.O_CREAT | os.O_RDWR), 1 << 20))
    done = machine.run(["losetup", "--find", "--show", volume / "image"])
    if done.returncode:
        pytest.skip(f"no loop devices here: {done.stderr.strip()}")
    device = done.stdout.strip()
    try:
        text = report(machine, volume, code=1)
        assert f"{volume / 'image'}" in text
        assert f"behind {device}" in text
        assert machine.run(["umount", volume]).returncode != 0
        run_all(machine, re.findall(r"^ +(losetup .*)$", text, re.MULTILINE))
    finally:
        machine.run(["losetup", "--detach", device])
    report(machine, volume, code=0)
    run_all(machine, [f"umount {volume}"])
