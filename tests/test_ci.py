"""The action, the hook and the examples of docs/ci.md do what they say, where nothing else is."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.support.repository import DATA, FIXTURES, ROOT

ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
HOOK, PREVIEW_HOOK = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
PAGE = (ROOT / "docs/ci.md").read_text("utf-8")
WORKFLOW, PIPELINE, HOOKS = map(yaml.safe_load, re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))

SCHEMA = json.loads((DATA / "schemas/sarif-2.1.0.json").read_text("utf-8"))
TOOLS = Path(sys.executable).parent

UNSOUND, SOUND = "runc.mntscope.json.gz", "bwrap.mntscope.json.gz"
"""A machine with a finding that is high, and one without any."""


class Runner:
    """Runs the steps of the action as GitHub's runner does, in a directory that holds but what a test puts there."""

    def __init__(self, folder: Path, installed: Path) -> None:
        self.workspace = folder / "workspace"
        self.workspace.mkdir()
        self.output, self.summary = folder / "output", folder / "summary"
        self.environment = {
            **clean(),
            "RUNNER_TEMP": str(installed),
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
        }

    def run(self, number: int, **inputs: str) -> subprocess.CompletedProcess[str]:
        """Carries out a step; what is not given has its default."""
        step = ACTION["runs"]["steps"][number]
        assert step["shell"] == "bash"
        given = {name: str(entry["default"]) for name, entry in ACTION["inputs"].items()} | inputs
        variables = {
            name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: given[found[1]], value)
            for name, value in step["env"].items()
        }
        script = self.workspace.parent / "script.sh"
        script.write_text(step["run"])
        # As the documentation of workflows has it for "shell: bash".
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        environment = self.environment | variables
        return subprocess.run(
            command, cwd=self.workspace, env=environment, capture_output=True, text=True, check=False, timeout=600
        )

    def outputs(self) -> dict[str, str]:
        """What the steps have told those after them."""
        return dict(line.split("=", 1) for line in self.output.read_text().splitlines())


def clean() -> dict[str, str]:
    """No environment but where programs are, and where pip finds packages."""
    kept = {name: value for name, value in os.environ.items() if name in ("HOME", "PATH") or name.startswith("PIP_")}
    # A virtual environment of the tests is none of a runner's.
    kept["PATH"] = os.pathsep.join(each for each in kept["PATH"].split(os.pathsep) if Path(each) != TOOLS)
    return kept


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner's directory for temporary files, in which the first step has installed mntscope from a checkout."""
    folder = tmp_path_factory.mktemp("runner")
    checkout = folder / "checkout"
    checkout.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "action.yml"):
        shutil.copy(ROOT / name, checkout)
    for name in ("mntscope", "grammar", "docs"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    runner = Runner(folder, folder)
    runner.environment["GITHUB_ACTION_PATH"] = str(checkout)
    done = runner.run(0, python=os.path.realpath(sys.executable))
    if "No matching distribution" in done.stderr or "Connection" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def runner(installed: Path, tmp_path: Path) -> Runner:
    return Runner(tmp_path, installed)


def put(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(FIXTURES / name, folder / name)


# ---- the action ----


def test_the_action_audits_every_capture_and_writes_sarif(runner: Runner) -> None:
    put(runner.workspace / "deep/captures", SOUND, UNSOUND)
    done = runner.run(1)
    assert (done.returncode, done.stderr) == (1, "")
    assert "MNT006 bidirectional-volume" in done.stdout
    assert "SOUND" in done.stdout
    assert runner.outputs() == {"sarif": "mntscope-sarif", "found": "true"}
    assert "MNT006" in runner.summary.read_text()
    runs = {}
    for path in (runner.workspace / "mntscope-sarif").iterdir():
        document = json.loads(path.read_text("utf-8"))
        jsonschema.validate(document, SCHEMA)
        (runs[path.name],) = document["runs"]
    expected = {f"deep_captures_{name}" for name in (SOUND, UNSOUND)}
    assert {run["automationDetails"]["id"] for run in runs.values()} == {f"mntscope/audit/{name}/" for name in expected}
    assert {name: len(run["results"]) for name, run in runs.items()} == {
        f"deep_captures_{SOUND}.sarif": 0,
        f"deep_captures_{UNSOUND}.sarif": 1,
    }


def test_the_action_succeeds_where_nothing_is_found(runner: Runner) -> None:
    put(runner.workspace, SOUND)
    assert runner.run(1).returncode == 0
    assert runner.outputs()["found"] == "false"


def test_the_action_fails_on_what_it_is_told_to(runner: Runner) -> None:
    put(runner.workspace, UNSOUND)
    assert runner.run(1, **{"fail-on": "critical"}).returncode == 0
    assert runner.run(1, **{"fail-on": "high"}).returncode == 1


def test_the_action_says_that_there_is_no_capture(runner: Runner) -> None:
    done = runner.run(1, captures="none/*.gz")
    assert (done.returncode, done.stdout) == (2, "::error::mntscope: there is no capture none/*.gz\n")


def test_the_action_stops_at_a_file_that_is_no_capture(runner: Runner) -> None:
    (runner.workspace / "broken.mntscope.json").write_text("{}")
    done = runner.run(1)
    assert done.returncode == 2
    assert "broken.mntscope.json: it is not a snapshot" in done.stderr


def test_what_is_given_to_the_action_is_not_run(runner: Runner) -> None:
    put(runner.workspace, SOUND)
    assert runner.run(1, captures="$(touch ran);`touch ran` *.gz").returncode == 0
    assert not (runner.workspace / "ran").exists()
    assert "${{" not in "".join(step["run"] for step in ACTION["runs"]["steps"])


def test_the_workflow_gives_what_the_action_takes() -> None:
    _, audit, upload = WORKFLOW["jobs"]["audit"]["steps"]
    assert set(audit["with"]) <= set(ACTION["inputs"])
    assert upload["with"] == {"sarif_file": f"${{{{ steps.{audit['id']}.outputs.sarif }}}}"}
    assert set(ACTION["outputs"]) == {"sarif", "found"}
    listed = re.findall(r"^\| `([\w-]+)` \| .*\(`(.*)`\)", PAGE, re.MULTILINE)
    assert dict(listed) == {name: str(entry["default"]) for name, entry in ACTION["inputs"].items() if entry["default"]}
    assert all(f"| `{name}` |" in PAGE for name in ACTION["inputs"])


# ---- other pipelines, and the hook ----


def with_mntscope(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = clean()
    environment["PATH"] = f"{TOOLS}{os.pathsep}{environment['PATH']}"
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_pipeline_writes_the_report_that_it_keeps(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / UNSOUND, tmp_path / "web-1.mntscope.json.gz")
    install, audit = PIPELINE["mounts"]["script"]
    assert install == "pip install mntscope"
    assert with_mntscope("sh", "-c", audit, folder=tmp_path).returncode == 1
    assert "MNT006" in (tmp_path / PIPELINE["mounts"]["artifacts"]["reports"]["junit"]).read_text()


def hook(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs the hook as pre-commit does: its entry as words, then the arguments, then the files."""
    return with_mntscope(*shlex.split(HOOK["entry"]), *words, folder=folder)


def test_the_hook_audits_each_file(tmp_path: Path) -> None:
    put(tmp_path, SOUND, UNSOUND)
    done = hook(tmp_path, UNSOUND, SOUND)
    assert (done.returncode, done.stderr) == (1, "")
    assert "MNT006" in done.stdout
    assert "SOUND" in done.stdout
    assert hook(tmp_path, SOUND).returncode == 0


def test_the_hook_takes_options(tmp_path: Path) -> None:
    put(tmp_path, SOUND, UNSOUND)
    assert hook(tmp_path, "--fail-on=critical", UNSOUND, SOUND).returncode == 0
    ((used,),) = [repository["hooks"] for repository in HOOKS["repos"]]
    assert used["id"] == HOOK["id"]
    assert hook(tmp_path, *used["args"], UNSOUND).returncode == 1


def test_the_hook_is_for_captures() -> None:
    assert all(
        re.search(HOOK["files"], name) for name in (SOUND, UNSOUND, "sandbox.mntscope.json", "a.mntscope.json.zst")
    )
    assert not re.search(HOOK["files"], "package.json")
    assert HOOK["language"] == "python"


# ---- manifests ----

PREVIEW_PAGE = (ROOT / "docs/preview.md").read_text("utf-8")
PREVIEW_HOOKS, PREVIEW_WORKFLOW, GATE = map(
    yaml.safe_load, re.findall(r"^```yaml\n(.*?)^```$", PREVIEW_PAGE, re.MULTILINE | re.DOTALL)
)
BIDIRECTIONAL = (DATA / "manifests/csi-node.yaml").read_text("utf-8")
SOUND_MANIFEST = (DATA / "manifests/database.yaml").read_text("utf-8")


def put_manifests(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)


def test_the_action_previews_manifests_and_names_the_line(runner: Runner) -> None:
    put_manifests(runner.workspace, csi=BIDIRECTIONAL, database=SOUND_MANIFEST)
    done = runner.run(2, manifests="*.yaml")
    assert (done.returncode, done.stderr) == (1, "")
    assert runner.outputs() == {"found": "true"}
    assert "can mount on the host" in runner.summary.read_text()
    document = json.loads((runner.workspace / "mntscope-sarif/preview.sarif").read_text("utf-8"))
    jsonschema.validate(document, SCHEMA)
    places = [result["locations"][0]["physicalLocation"] for result in document["runs"][0]["results"]]
    lines = {(place["artifactLocation"]["uri"], place["region"]["startLine"]) for place in places}
    assert ("csi.yaml", 1 + BIDIRECTIONAL.split("\n").index(f"{' ' * 14}mountPropagation: Bidirectional")) in lines
    assert {name for name, _ in lines} == {"csi.yaml"}


def test_the_action_succeeds_where_manifests_are_sound(runner: Runner) -> None:
    put_manifests(runner.workspace, database=SOUND_MANIFEST)
    assert runner.run(2, manifests="**/*.yaml").returncode == 0
    assert runner.outputs() == {"found": "false"}


def test_the_action_previews_on_the_node_that_is_given(runner: Runner) -> None:
    put(runner.workspace, SOUND)
    put_manifests(runner.workspace, csi=BIDIRECTIONAL)
    done = runner.run(2, manifests="*.yaml", node=SOUND)
    assert "the host that is assumed" not in done.stdout
    assert runner.run(2, manifests="*.yaml", node="none").returncode == 2


def test_the_action_says_that_there_is_no_manifest(runner: Runner) -> None:
    done = runner.run(2, manifests="none/*.yaml")
    assert (done.returncode, done.stdout) == (2, "::error::mntscope: there is no manifest none/*.yaml\n")


def test_the_action_takes_no_manifest_for_an_option_or_a_command(runner: Runner) -> None:
    put_manifests(runner.workspace, **{"--help": SOUND_MANIFEST})
    assert runner.run(2, manifests="*.yaml $(touch ran)").returncode == 0
    assert not (runner.workspace / "ran").exists()


def test_the_workflow_previews_what_it_has_rendered() -> None:
    _, _, preview, upload = PREVIEW_WORKFLOW["jobs"]["preview"]["steps"]
    assert set(preview["with"]) <= set(ACTION["inputs"])
    assert upload["with"] == {"sarif_file": f"${{{{ steps.{preview['id']}.outputs.sarif }}}}"}


def test_the_gate_keeps_from_being_applied_what_is_found(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / SOUND, tmp_path / "node-1.mntscope.json.gz")
    put_manifests(tmp_path, prod=BIDIRECTIONAL)
    _, _, preview, _ = GATE["roll-out"]["script"]
    done = with_mntscope("sh", "-c", preview, folder=tmp_path)
    assert (tmp_path / GATE["roll-out"]["artifacts"]["reports"]["junit"]).exists(), done.stderr
    put_manifests(tmp_path, prod=SOUND_MANIFEST)
    assert with_mntscope("sh", "-c", preview, folder=tmp_path).returncode == 0


def test_the_hook_previews_all_files_at_once(tmp_path: Path) -> None:
    put_manifests(tmp_path, csi=BIDIRECTIONAL, database=SOUND_MANIFEST)
    ((used,),) = [repository["hooks"] for repository in PREVIEW_HOOKS["repos"]]
    assert used["id"] == PREVIEW_HOOK["id"]
    entry = [*shlex.split(PREVIEW_HOOK["entry"]), *used["args"]]
    assert with_mntscope(*entry, "database.yaml", "csi.yaml", folder=tmp_path).returncode == 1
    assert with_mntscope(*entry, "database.yaml", folder=tmp_path).returncode == 0


def test_the_preview_hook_is_for_manifests() -> None:
    taken = ("deploy/a.yaml", "x/k8s/b/a.yml", "compose.yaml", "x/docker-compose.prod.yml", "web.container")
    assert all(re.search(PREVIEW_HOOK["files"], name) for name in taken)
    assert not any(re.search(PREVIEW_HOOK["files"], name) for name in ("mkdocs.yaml", "values.yaml", "src/a.json"))
