"""Manifests as charts make them: every container, every mount, every propagation type, however it is written."""

from __future__ import annotations

import pytest

from mntscope.parse.manifests.read import read_manifest
from tests.support.manifests import Made, manifests

MADE = list(manifests())


def test_there_are_two_hundred_and_each_is_another() -> None:
    assert len({(made.file, made.data) for made in MADE}) >= 200


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.name)
def test_every_mount_of_a_chart_is_read(made: Made) -> None:
    read = read_manifest(made.data, made.file)
    assert [(remark.where, remark.what) for remark in read.remarks if remark.kind == "error"] == []
    assert tuple((spec.name, len(spec.mounts)) for spec in read.containers) == made.mounts
    assert {
        (spec.name, mount.destination, mount.propagation)
        for spec in read.containers
        for mount in spec.mounts
        if mount.propagation is not None
    } == made.propagations


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.name)
def test_a_propagation_type_is_where_it_is_said_to_be(made: Made) -> None:
    lines = made.data.decode().split("\n")
    for spec in read_manifest(made.data, made.file).containers:
        for mount in spec.mounts:
            if mount.propagation_where is not None and mount.propagation is not None:
                assert mount.propagation in lines[mount.propagation_where.line - 1]
