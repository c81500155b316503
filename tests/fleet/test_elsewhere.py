"""Snapshots and data sets that are not here: in a bucket, on a web server; and workers that are not, in a cluster."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures import fleet as fixture
from mntscope import fleet
from mntscope.errors import AccessError, UsageError
from mntscope.fleet import adding
from tests.support.cluster import cluster
from tests.support.s3_server import s3_server


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("in")
    fixture.make(directory, 40, 1, namespaces=4, mounts=12)
    return directory / "2026-01-30"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket; who opens it finds the server by the environment, as worker processes do."""
    pytest.importorskip("moto", reason="the S3 server on loopback is not installed: moto")
    s3fs = pytest.importorskip("s3fs", reason="what reads S3 is not installed: s3fs")
    with s3_server() as url:
        for name, value in (
            ("AWS_ENDPOINT_URL", url),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ):
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("snapshots")
        yield "s3://snapshots"
        s3fs.S3FileSystem.clear_instance_cache()


def names(dataset: str) -> list[str]:
    with fleet.open(dataset) as opened:
        return sorted(name for (name,) in opened.ask("select host from every_host"))


def test_a_bucket_is_read_and_written(bucket: str, snapshots: Path) -> None:
    import s3fs

    s3fs.S3FileSystem().put(f"{snapshots}/", f"{bucket}/in/", recursive=True)
    s3fs.S3FileSystem().pipe(f"{bucket}/in/random.json.gz", bytes(range(256)) * 40)
    added = fleet.add([f"{bucket}/in/"], f"{bucket}/fleet", workers=2)
    assert (added.added, [bad.source for bad in added.bad_inputs]) == (40, [f"{bucket}/in/random.json.gz"])
    assert len(names(f"{bucket}/fleet")) == len(set(names(f"{bucket}/fleet"))) == 40
    assert fleet.add([f"{bucket}/in/"], f"{bucket}/fleet").parts == 0
    with fleet.open(f"{bucket}/fleet") as opened:
        assert opened.mounts.where("leaks_out").frame().place.nunique() > 2
    # Out of it, into a directory, by a glob.
    assert len(fleet.open(f"{bucket}/fleet").hosts) == 40


def test_a_web_server_is_read(tmp_path: Path, snapshots: Path) -> None:
    pytest.importorskip("aiohttp", reason="what reads https:// is not installed: aiohttp")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called there
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=snapshots)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        sources = [f"{url}/web-000.mntscope.json.gz", f"{url}/db-001.mntscope.json.gz"]
        added = fleet.add(sources, str(tmp_path / "out"), workers=1)
        server.shutdown()
    assert (added.added, names(str(tmp_path / "out"))) == (2, ["db-001", "web-000"])


def test_a_url_of_nothing_that_is_known_is_named() -> None:
    with pytest.raises(UsageError, match="on no filesystem that can be reached"):
        fleet.add(["gopher://host/a"], "/nowhere")


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path, snapshots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="Dask distributed is not installed")
    monkeypatch.setattr("mntscope.fleet.workers.SECONDS", 1)
    with pytest.raises(AccessError, match="no cluster answers there"):
        fleet.add([str(snapshots)], str(tmp_path / "out"), scheduler="tcp://127.0.0.1:9")


def test_a_worker_of_a_cluster_is_killed_and_nothing_is_lost_nor_there_twice(
    tmp_path: Path, snapshots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed", reason="Dask distributed is not installed")
    monkeypatch.setattr(adding, "INPUTS", 2)
    monkeypatch.setattr("mntscope.fleet.workers.SECONDS", 120)
    dataset = tmp_path / "out"
    with cluster(2) as running:
        done_when_killed: list[int] = []

        def kill_half_way(done: int, total: int) -> None:
            if done >= total // 2 and not done_when_killed:
                os.kill(running.workers[0].pid, 9)
                done_when_killed.append(done)

        added = fleet.add([str(snapshots)], str(dataset), scheduler=running.address, progress=kill_half_way)
        assert running.workers[0].wait(10) == -9
        assert 20 <= done_when_killed[0] < 40
        # Somebody else may have killed a worker after it had made a part and before it could say so.
        assert added.added + 2 * (20 - added.parts) == 40
        assert added.bad_inputs == ()
        assert len(names(str(dataset))) == len(set(names(str(dataset)))) == 40
        again = fleet.add([str(snapshots)], str(dataset), scheduler=running.address)
        assert (again.parts, again.known) == (0, 40)


def test_a_cluster_over_tls_lets_nobody_else_in(
    tmp_path: Path, snapshots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/fleet.md has it: certificates by openssl, and the settings of Dask."""
    dask = pytest.importorskip("dask", reason="Dask is not installed")
    pytest.importorskip("distributed", reason="Dask distributed is not installed")
    from tests.support.repository import ROOT

    script = ROOT / "docs" / "fleet" / "certificates.sh"
    subprocess.run(["sh", str(script), "127.0.0.1"], cwd=tmp_path, check=True, capture_output=True)
    files = {"ca-file": "ca.pem", "cert": "node.pem", "key": "node.key"}
    options = {f"--tls-{name}": str(tmp_path / file) for name, file in files.items()}
    monkeypatch.setattr("mntscope.fleet.workers.SECONDS", 120)
    with cluster(1, protocol="tls", options=options) as running:
        settings = {
            "distributed.comm.require-encryption": True,
            "distributed.comm.tls.ca-file": str(tmp_path / "ca.pem"),
            "distributed.comm.tls.client.cert": str(tmp_path / "node.pem"),
            "distributed.comm.tls.client.key": str(tmp_path / "node.key"),
        }
        with dask.config.set(settings):
            added = fleet.add([str(snapshots)], str(tmp_path / "out"), scheduler=running.address)
        assert added.added == 40
        monkeypatch.setattr("mntscope.fleet.workers.SECONDS", 3)
        with pytest.raises(AccessError, match="no cluster answers there"):
            fleet.add(
                [f"{snapshots}/db*", str(next(snapshots.iterdir()))], str(tmp_path / "other"), scheduler=running.address
            )
