"""Every shipped configuration is read by the real parser, and the sweep by W&B's own agent."""

import json
import math
import random
import re
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from careergpt.cli import main

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path.name for path in (ROOT / "configs").glob("*.yaml"))
WHOLE = ["careers.yaml", "demo.yaml", "gpt2.yaml", "pretrained.yaml"]
OVERLAYS = [name for name in CONFIGS if name not in (*WHOLE, "sweep.yaml")]
SWEEP: dict[str, Any] = yaml.safe_load((ROOT / "configs" / "sweep.yaml").read_text())


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configurations name their files from the project's root."""
    monkeypatch.chdir(ROOT)


@pytest.fixture
def parsed(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], dict[str, Any]]:
    """What the program makes of these words."""

    def printed(words: list[str]) -> dict[str, Any]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([*words, "--print_config"])
        assert caught.value.code in (0, None)
        config: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
        return config

    return printed


def laid(*names: str) -> list[str]:
    return [word for name in names for word in ("--config", f"configs/{name}")]


def leaves(tree: Any, *path: str) -> dict[tuple[str, ...], Any]:
    """Each value by its path."""
    if not isinstance(tree, dict):
        return {path: tree}
    return {k: v for name, part in tree.items() for k, v in leaves(part, *path, name).items()}


def test_there_are_configurations_of_each_kind() -> None:
    assert set(WHOLE) < set(CONFIGS)
    assert len(OVERLAYS) >= 3


@pytest.mark.parametrize("name", WHOLE)
def test_a_configuration_is_read_as_it_is_written(name: str, parsed: Callable) -> None:
    written = leaves(yaml.safe_load((ROOT / "configs" / name).read_text()))
    found = leaves(parsed(["fit", *laid(name)]))
    assert {path: found[path] for path in written} == written


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", WHOLE)
def test_an_overlay_changes_what_it_names_and_nothing_else(
    name: str, overlay: str, parsed: Callable
) -> None:
    below, above = (leaves(parsed(["fit", *laid(*some)])) for some in ((name,), (name, overlay)))
    written = leaves(yaml.safe_load((ROOT / "configs" / overlay).read_text()))
    assert written
    assert {path: above[path] for path in written} == written
    for path in below.keys() | above.keys():
        assert path in written or below[path] == above[path], path


@pytest.mark.parametrize("name", WHOLE)
def test_a_configuration_says_only_what_differs_from_the_defaults(
    name: str, parsed: Callable
) -> None:
    written = leaves(yaml.safe_load((ROOT / "configs" / name).read_text()))
    defaults = leaves(parsed(["fit"]))
    # A task, and a model's sizes, are shown whole, so that each is read in one place.
    shown = {"tasks", "scratch"}
    idle = [p for p, v in written.items() if defaults.get(p) == v and not shown & set(p)]
    assert idle == []


def test_what_is_typed_wins_over_the_file(parsed: Callable) -> None:
    words = [*laid("demo.yaml"), "--model.lr=0.5", "--data.tasks.path.weight=0.75"]
    config = parsed(["fit", *words])
    assert config["model"]["lr"] == 0.5
    assert config["data"]["tasks"]["path"]["weight"] == 0.75
    assert config["data"]["tasks"]["path"]["prompt"] == "Career path: {titles[0]}"
    assert config["data"]["tasks"]["skills"]["weight"] == 0.3


@pytest.mark.parametrize("name", WHOLE)
def test_a_fit_s_configuration_serves_audit(name: str, parsed: Callable) -> None:
    written = yaml.safe_load((ROOT / "configs" / name).read_text())["data"]
    found = parsed(["audit", *laid(name)])["data"]
    assert {path: leaves(found)[path] for path in leaves(written)} == leaves(written)


def drawn(parameter: dict[str, Any], chance: random.Random) -> Any:
    """A value as W&B's search draws it."""
    if "value" in parameter:
        return parameter["value"]
    if "values" in parameter:
        return chance.choice(parameter["values"])
    low, high = parameter["min"], parameter["max"]
    if parameter.get("distribution") == "log_uniform_values":
        return math.exp(chance.uniform(math.log(low), math.log(high)))
    if parameter.get("distribution", "").startswith("int") or isinstance(low, int):
        return chance.randint(low, high)
    return chance.uniform(low, high)


def expanded(seed: int) -> tuple[list[str], dict[str, Any]]:
    """The agent's command for one draw, and what was drawn."""
    chance = random.Random(seed)
    values = {name: drawn(p, chance) for name, p in SWEEP["parameters"].items()}
    given = create_sweep_command_args({"args": {n: {"value": v} for n, v in values.items()}})
    known = {**given, "env": ["/usr/bin/env"], "interpreter": ["python"]}
    words: list[str] = []
    for chunk in create_sweep_command(list(SWEEP["command"])):
        macro = chunk.startswith("${") and chunk.endswith("}")
        words += known[chunk[2:-1]] if macro else [chunk]
    return words, values


def ends() -> list[dict[str, Any]]:
    """Each parameter at its extremes, the others left out."""
    return [
        {name: value}
        for name, p in SWEEP["parameters"].items()
        for value in p.get("values", [p.get("min"), p.get("max")])
    ]


def value_at(config: dict[str, Any], dotted: str) -> Any:
    for name in dotted.split("."):
        config = config[name]
    return config


@pytest.mark.parametrize("seed", range(12))
def test_the_program_reads_what_the_sweep_s_agent_types(seed: int, parsed: Callable) -> None:
    words, values = expanded(seed)
    assert words[:4] == ["/usr/bin/env", "python", "main.py", "fit"]
    config = parsed(words[3:])
    for name, value in values.items():
        assert value_at(config, name) == pytest.approx(value), name


@pytest.mark.parametrize("values", ends(), ids=str)
def test_the_program_reads_every_extreme(values: dict[str, Any], parsed: Callable) -> None:
    words = create_sweep_command_args({"args": {n: {"value": v} for n, v in values.items()}})
    config = parsed(["fit", *laid("demo.yaml"), *words["args"]])
    assert all(value_at(config, name) == value for name, value in values.items())


def test_a_run_of_the_sweep_ends_with_the_metric_that_it_is_judged_by(
    shared_tables: Path, tmp_path: Path
) -> None:
    words, _ = expanded(0)
    main([
        *words[3:], f"--data.source={shared_tables}", f"--data.cache={tmp_path / 'cache'}",
        f"--trainer.default_root_dir={tmp_path / 'run'}", "--trainer.logger=false",
        "--trainer.max_steps=2", "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=2", "--trainer.limit_val_batches=1", "--titles.limit=2",
        "--trainer.enable_progress_bar=false", "--samples.prompts=[]", "--rankings.limit=0",
    ])  # fmt: skip
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    names = {name for line in lines for name in json.loads(line)}
    assert SWEEP["metric"]["name"] in names
    assert SWEEP["metric"]["goal"] == "minimize"


def test_the_sweep_has_the_form_that_w_and_b_asks_for() -> None:
    # W&B validates on its server; these are the rules of its documentation.
    assert SWEEP["method"] in ("bayes", "random", "grid")
    assert SWEEP["command"][-1] == "${args}"
    for name, parameter in SWEEP["parameters"].items():
        kinds = {"value", "values", "min"} & parameter.keys()
        assert len(kinds) == 1, name
        if "min" in parameter:
            assert parameter["min"] < parameter["max"]
            assert not isinstance(parameter["min"], str)  # PyYAML reads 1e-5 as text.
    assert SWEEP["early_terminate"]["type"] == "hyperband"
    assert SWEEP["early_terminate"]["min_iter"] >= 1


CLUSTER = ROOT / "configs" / "cluster"


def commands() -> dict[str, list[str]]:
    """What each file of configs/cluster runs, by its name; what a shell fills in is filled in."""
    given = {"$SLURM_NNODES": "2", "$SLURM_NTASKS_PER_NODE": "4", "$SLURM_CPUS_PER_TASK": "8"}
    found = {}
    for name in ("slurm.sbatch", "torchrun.md"):
        text = (CLUSTER / name).read_text().replace("\\\n", " ")
        (line,) = (line for line in text.splitlines() if " main.py fit " in line)
        found[name] = [given.get(word, word) for word in shlex.split(line)]
    job = yaml.safe_load((CLUSTER / "pytorchjob.yaml").read_text())
    replicas = job["spec"]["pytorchReplicaSpecs"]
    assert replicas["Master"]["template"] == replicas["Worker"]["template"]
    (container,) = replicas["Worker"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == int(job["spec"]["nprocPerNode"])
    assert sum(replica["replicas"] for replica in replicas.values()) == 2
    return {**found, "pytorchjob.yaml": container["command"]}


@pytest.mark.parametrize(
    ("name", "devices"), [("slurm.sbatch", 4), ("torchrun.md", 4), ("pytorchjob.yaml", 1)]
)
def test_the_program_reads_what_a_cluster_is_given(
    name: str, devices: int, parsed: Callable
) -> None:
    assert {path.name for path in CLUSTER.iterdir()} == commands().keys()
    words = commands()[name]
    trainer = parsed(words[words.index("main.py") + 1 :])["trainer"]
    assert (trainer["num_nodes"], int(trainer["devices"])) == (2, devices)
    assert trainer["default_root_dir"].endswith("runs/cluster")


def test_the_job_of_slurm_asks_for_what_its_run_expects_and_is_queued_again() -> None:
    path = CLUSTER / "slurm.sbatch"
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", path.read_text(), re.MULTILINE))
    assert asked["ntasks-per-node"] == asked["gpus-per-node"] == "4"
    assert asked["nodes"] == "2"
    assert asked["signal"].startswith("USR1@")  # Of "B:USR1" the tasks would hear nothing.
    assert f'"$code" -eq {128 + signal.SIGUSR1} ' in path.read_text()
