"""The script that a platform runs on each node, with a program in the place of Python that tells how it was called."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.waiting import until

BUNDLE = Path(__file__).parents[4] / "server" / "trainers" / "bundle"
CALLED = """#!/bin/sh
echo "$@"
echo "HYPERPARAMETERS_PATH=$HYPERPARAMETERS_PATH WORLD_SIZE=$WORLD_SIZE"
echo "MLFLOW_TRACKING_URI=$MLFLOW_TRACKING_URI"
ls "$(echo "$PYTHONPATH" | cut -d: -f1)/bundle"
exit 3
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A folder as it is uploaded."""
    folder = tmp_path / "job-1.v2"
    shutil.copytree(BUNDLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def environment(tmp_path: Path, program: str = CALLED, **variables: str) -> dict[str, str]:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir(exist_ok=True)
    python.write_text(program)
    python.chmod(0o755)
    return {"PATH": f"{python.parent}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)} | variables


def ran(bundle: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", str(bundle / "command.sh")], env=environment, capture_output=True, text=True, check=False, cwd="/"
    )


def test_one_process_trains_with_the_files_beside_the_script(bundle: Path, tmp_path: Path) -> None:
    done = ran(bundle, environment(tmp_path, WORLD_SIZE="1", LOCAL_WORLD_SIZE="1"))
    called, variables, _, *files = done.stdout.splitlines()
    assert called == "-m bundle.train"
    assert variables == f"HYPERPARAMETERS_PATH={bundle / 'hyperparameters.yaml'} WORLD_SIZE="
    assert sorted(files) == sorted(path.name for path in BUNDLE.glob("*.py"))
    assert done.returncode == 3
    assert {path.name for path in tmp_path.iterdir()} == {"bin", bundle.name}  # its copy is gone


@pytest.mark.parametrize(
    ("variables", "tracking_uri"),
    [
        ({}, ""),
        ({"MLFLOW_RUN_ID": "r"}, "databricks"),
        ({"MLFLOW_RUN_ID": "r", "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
    ],
)
def test_a_run_of_mlflow_is_the_workspaces_unless_another_place_is_named(
    bundle: Path, tmp_path: Path, variables: dict[str, str], tracking_uri: str
) -> None:
    done = ran(bundle, environment(tmp_path, **variables))
    assert done.stdout.splitlines()[2] == f"MLFLOW_TRACKING_URI={tracking_uri}"


def test_several_gpus_have_a_process_each(bundle: Path, tmp_path: Path) -> None:
    of_the_node = {"NUM_NODES": "2", "NODE_RANK": "1", "WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"}
    done = ran(bundle, environment(tmp_path, MASTER_ADDR="10.0.0.1", MASTER_PORT="1234", **of_the_node))
    assert done.stdout.splitlines()[0] == (
        "-m torch.distributed.run --nnodes 2 --node-rank 1 --nproc-per-node 8"
        " --master-addr 10.0.0.1 --master-port 1234 -m bundle.train"
    )


@pytest.mark.parametrize("said_by", ["CODE_SOURCE_PATH", "HYPERPARAMETERS_PATH"])
def test_the_program_is_found_where_the_platform_put_it(bundle: Path, tmp_path: Path, said_by: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (bundle / "command.sh").rename(elsewhere / "command.sh")
    place = bundle if said_by == "CODE_SOURCE_PATH" else bundle / "hyperparameters.yaml"
    done = ran(elsewhere, environment(tmp_path, **{said_by: str(place)}))
    assert done.stdout.splitlines()[:2] == [
        "-m bundle.train",
        f"HYPERPARAMETERS_PATH={bundle / 'hyperparameters.yaml'} WORLD_SIZE=",
    ]


def test_without_the_program_it_says_where_it_looked(bundle: Path, tmp_path: Path) -> None:
    (bundle / "train.py").unlink()
    done = ran(bundle, environment(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("command.sh: NO_PROGRAM: train.py is neither beside it, ")


async def test_the_signal_that_ends_the_job_reaches_the_training(bundle: Path, tmp_path: Path) -> None:
    ready, ended = tmp_path / "ready", tmp_path / "ended"
    program = f"#!/bin/sh\ntrap 'touch {ended}; exit 143' TERM\ntouch {ready}\nwhile :; do sleep 0.05; done\n"
    surroundings = environment(tmp_path, program)
    running = await asyncio.create_subprocess_exec("/bin/bash", str(bundle / "command.sh"), env=surroundings)

    async def is_ready() -> bool:
        return ready.exists()

    await until(is_ready)
    running.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(running.wait(), 60) == 143
    assert ended.exists()


def pinned(lines: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", lines, flags=re.MULTILINE))


def test_both_lists_of_requirements_are_the_same() -> None:
    listed = yaml.safe_load((BUNDLE / "requirements.yaml").read_text())
    assert set(listed) == {"version", "dependencies"}
    assert listed["version"] == "4"
    assert listed["dependencies"] == (BUNDLE / "requirements.txt").read_text().splitlines()


@pytest.mark.parametrize("name", ["accelerate", "datasets", "mlflow-skinny", "peft", "transformers", "trl"])
def test_the_bundle_asks_for_what_it_was_tested_with(name: str) -> None:
    checkout = BUNDLE.parents[2]
    asked = pinned((BUNDLE / "requirements.txt").read_text())
    locked = pinned((checkout / "requirements-llm.lock").read_text()) | pinned(
        (checkout / "requirements.lock").read_text()
    )
    assert asked[name] == locked[name]


def test_the_bundle_needs_nothing_of_the_rest(bundle: Path) -> None:
    for path in bundle.glob("*.py"):
        assert not re.search(r"^\s*(from|import) (server|schema|tests)\b", path.read_text(), flags=re.MULTILINE), path
