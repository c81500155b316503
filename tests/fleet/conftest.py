"""A fleet to ask: 300 hosts on two days, of which it is known in what they differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures import fleet as fixture
from mntscope import fleet


@pytest.fixture(scope="session")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files: a directory a day."""
    directory = tmp_path_factory.mktemp("snapshots")
    fixture.make(directory)
    return directory


@pytest.fixture(scope="session")
def dataset(snapshots: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The data set of all of them."""
    url = str(tmp_path_factory.mktemp("fleet") / "dataset")
    added = fleet.add([str(snapshots)], url)
    assert (added.added, added.known, added.bad_inputs) == (600, 0, ())
    return url


@pytest.fixture
def opened(dataset: str) -> Iterator[fleet.Fleet]:
    """The same, opened."""
    with fleet.open(dataset) as found:
        yield found
