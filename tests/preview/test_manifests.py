"""Manifests of the kind that charts make, each previewed on a host that is assumed."""

from __future__ import annotations

import pytest

from mntscope.analysis.preview.preview import preview
from mntscope.parse.manifests.containers import PROPAGATIONS
from mntscope.parse.manifests.read import read_manifest
from tests.support.manifests import Made, manifests


@pytest.mark.parametrize("made", list(manifests()), ids=lambda made: made.name)
def test_each_finding_is_justified_by_a_word_of_the_file(made: Made) -> None:
    manifest = read_manifest(made.data, made.file)
    result = preview(None, [manifest])
    assert len(result.containers) == len(manifest.containers)
    for container in result.containers:
        for found in container.findings:
            mount = next((each for each in container.spec.mounts if each.destination.rstrip("/") == found.path), None)
            # All is shared on that host, so nothing is refused, and what is shared with it says so in the file.
            assert found.kind in ("mounts-on-host", "changes-host"), found
            words = [PROPAGATIONS[each.propagation] for each in container.spec.mounts if each.propagation]
            shared = [word for word in words if word.endswith("shared")]
            assert shared, found
            if found.kind == "mounts-on-host" and mount is not None:
                assert found.where in (mount.propagation_where, mount.where)
