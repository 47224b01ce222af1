"""A sweep whose processes are killed ends with the trials of one that nobody disturbed."""

import fcntl
import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from careergpt.cli import main
from careergpt.cli.sweep import report_html
from careergpt.errors import InputError
from careergpt.training.sweep_plan import read_plan
from careergpt.training.sweeps import TRIES, Sweep

FIT = """
import json, pathlib, sys, time
options = dict(word[2:].split("=", 1) for word in sys.argv[1:])
run = pathlib.Path(options["trainer.default_root_dir"])
run.mkdir(exist_ok=True)
log = run / "metrics.jsonl"
done = len(log.read_text().splitlines()) if log.exists() else 0
assert ("ckpt_path" in options) == (run / "config.yaml").exists()
(run / "config.yaml").write_text("")
kind = options.get("kind", "fine")
if kind == "refused":
    sys.exit("error: there is no such kind") or sys.exit(2)
for step in range(done, 4):
    # A poor one leaves time to be seen and ended, however busy the machine is.
    time.sleep(float(options.get("pause", 0)) * (5 if kind == "poor" else 1))
    with log.open("a") as file:
        loss = float(options.get("lr", 9)) + 1 / (1 + step) + 5 * (kind == "poor")
        file.write(json.dumps({"step": step, "val/loss": loss}) + "\\n")
if kind == "broken":
    sys.exit(1)
"""
"""Logs as a fit does, a validation at a time, and goes on where it was."""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials that take no time are looked at without a pause."""
    monkeypatch.setattr("careergpt.training.sweeps._TICK", 0.02)


def write_plan(folder: Path, **changed: Any) -> Path:
    (folder / "fit.py").write_text(
        FIT.replace(
            'sys.exit("error: there is no such kind") or ',
            'print("error: there is no such kind", file=sys.stderr); ',
        )
    )
    plan = {
        "method": "random",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "parameters": {
            "lr": {"distribution": "log_uniform_values", "min": 1e-3, "max": 1.0},
            "kind": {"values": ["fine", "poor"]},
            "pause": {"value": 0},
        },
        "command": ["${env}", "${interpreter}", str(folder / "fit.py"), "${args}"],
    }
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump({**plan, **changed}))
    return path


def outcome(sweep: Sweep) -> list[tuple[int, TrialState, dict[str, Any], float | None]]:
    return [(t.number, t.state, t.params, t.value) for t in sweep.study.get_trials()]


def swept(path: Path, out: Path, trials: int, workers: int = 1) -> Sweep:
    sweep = Sweep(read_plan(str(path)), out, trials)
    sweep.run(workers)
    return sweep


@pytest.mark.parametrize("method", ["random", "grid", "bayes"])
def test_a_sweep_repeats_itself(method: str, tmp_path: Path) -> None:
    parameters = {
        "lr": {"values": [0.1, 0.2, 0.4]},
        "kind": {"values": ["fine", "poor"]},
        "pause": 0,
    }
    path = write_plan(
        tmp_path, method=method, **({"parameters": parameters} if method == "grid" else {})
    )
    first, second = (outcome(swept(path, tmp_path / name, 7)) for name in ("a", "b"))
    assert first == second
    assert len(first) == (6 if method == "grid" else 7)  # A grid has no more than its points.
    assert len({json.dumps(params) for _, _, params, _ in first}) == len(first)
    for _, state, params, value in first:
        assert state == TrialState.COMPLETE
        assert value == pytest.approx(params["lr"] + 0.25 + 5 * (params["kind"] == "poor"))


def test_no_trial_is_lost_or_doubled_by_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, out, trials = random.Random(0), tmp_path / "killed", 20
    parameters = {"lr": {"min": 0.1, "max": 1.0}, "pause": {"value": 0.05}, "kind": "fine"}
    path = write_plan(tmp_path, parameters=parameters)
    undisturbed = outcome(swept(path, tmp_path / "whole", trials, workers=2))
    monkeypatch.setattr("careergpt.training.sweeps.TRIES", 10**6)
    kills = 0
    for _ in range(5):
        sweep = multiprocessing.get_context("fork").Process(
            target=swept, args=(path, out, trials, 2)
        )
        sweep.start()
        for _ in range(chance.randint(2, 5)):
            time.sleep(0.2)
            _kill_one_of(chance, sweep.pid)
        os.kill(sweep.pid, chance.choice([signal.SIGKILL, signal.SIGTERM]))
        sweep.join()
        kills += sweep.exitcode != 0
    assert kills > 1
    assert outcome(swept(path, out, trials, workers=2)) == undisturbed


def test_a_trial_is_alive_while_its_process_is(tmp_path: Path) -> None:
    parameters = {"lr": {"value": 0.1}, "pause": {"value": 0.4}, "kind": "fine"}
    path, out = write_plan(tmp_path, parameters=parameters), tmp_path / "out"
    sweep = multiprocessing.get_context("fork").Process(target=swept, args=(path, out, 1))
    sweep.start()
    log, lock = out / "trials" / "0000" / "metrics.jsonl", out / "trials" / "0000.lock"
    while not log.exists():
        time.sleep(0.01)
    sweep.kill()
    sweep.join()
    with lock.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    swept(path, out, 1)  # It waits for the process that nobody watches, and takes what it left.
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [0, 1, 2, 3]


def _kill_one_of(chance: random.Random, parent: int) -> None:
    """A trial's process of this sweep ends by SIGKILL."""
    listed = Path(f"/proc/{parent}/task/{parent}/children")
    children = listed.read_text().split() if listed.exists() else []
    if children:
        os.kill(int(chance.choice(children)), signal.SIGKILL)


def test_hyperband_ends_poor_trials_early(tmp_path: Path) -> None:
    parameters = {
        "lr": {"value": 0.1},
        "kind": {"values": ["fine", "poor"]},
        "pause": {"value": 0.06},
    }
    early = {"type": "hyperband", "min_iter": 1, "eta": 2}
    path = write_plan(tmp_path, parameters=parameters, early_terminate=early)
    # One at a time: who is ended goes by who was there before.
    sweep = swept(path, tmp_path / "out", 12)
    pruned = [one for one in sweep.study.get_trials() if one.state == TrialState.PRUNED]
    assert pruned
    assert all(len(one.intermediate_values) < 4 for one in pruned)
    assert sweep.study.best_params["kind"] == "fine"


def test_options_that_are_refused_end_the_sweep(tmp_path: Path) -> None:
    parameters = {"lr": 0.1, "kind": "refused", "pause": 0}
    path = write_plan(tmp_path, parameters=parameters)
    with pytest.raises(InputError, match="trial 0: there is no such kind"):
        swept(path, tmp_path / "out", 3)


def test_a_metric_or_a_program_that_is_not_there_ends_the_sweep(tmp_path: Path) -> None:
    path = write_plan(tmp_path, metric={"name": "val/los"})
    with pytest.raises(InputError, match=r"trial 0: .*metrics\.jsonl has no val/los: give"):
        swept(path, tmp_path / "out", 3)
    assert not (tmp_path / "out" / "trials" / "0001").exists()
    path = write_plan(tmp_path, command=["no-such-program", "${args}"])
    with pytest.raises(InputError, match="command: there is no program 'no-such-program'"):
        swept(path, tmp_path / "none", 3)
    assert not (tmp_path / "none").exists()


def test_what_breaks_is_tried_again_and_then_left(tmp_path: Path) -> None:
    path = write_plan(tmp_path, parameters={"lr": 0.1, "kind": "broken", "pause": 0})
    sweep = swept(path, tmp_path / "out", 2)
    assert {state for _, state, _, _ in outcome(sweep)} == {TrialState.FAIL}
    assert sum(sweep._tries.values()) == 2 * TRIES


@pytest.mark.parametrize(
    ("changed", "facts"),
    [
        ({"method": "magic"}, ["method", "'magic'", "bayes"]),
        ({"metric": {"goal": "minimize"}}, ["metric.name"]),
        ({"command": ["python", "main.py", "fit"]}, ["${args}"]),
        ({"parameters": {"lr": {"min": 2, "max": 1}}}, ["lr", "min and max"]),
        ({"parameters": {"lr": {"min": 0.1, "max": 1, "distribution": "normal"}}}, ["'normal'"]),
        ({"parameters": {"lr": {"min": 0.1, "max": 1}}, "method": "grid"}, ["grid", "lr"]),
        ({"early_terminate": {"type": "median"}}, ["'median'", "hyperband"]),
        ({"parameters": []}, ["parameters"]),
        ({"metric": "loss"}, ["metric", "a mapping"]),
        ({"early_terminate": "hyperband"}, ["early_terminate", "a mapping"]),
        ({"command": "python main.py fit ${args}"}, ["command", "a list"]),
        ({"parameters": {"lr": {"values": []}}}, ["lr", "[]"]),
        ({"parameters": {"lr": {"values": [[1, 2]]}}}, ["lr", "plain values"]),
        (
            {"parameters": {"lr": {"min": 0, "max": 1, "distribution": "log_uniform_values"}}},
            ["lr"],
        ),
        ({"early_terminate": {"type": "hyperband", "min_iter": "x"}}, ["min_iter"]),
        ({"early_terminate": {"type": "hyperband", "eta": 1}}, ["eta"]),
    ],
)
def test_a_plan_that_cannot_be_had_is_one_line(
    changed: dict[str, Any], facts: list[str], tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        read_plan(str(write_plan(tmp_path, **changed)))
    assert all(fact in str(caught.value) for fact in facts)


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\x00"])
def test_what_is_no_yaml_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no YAML"):
        read_plan(str(path))


def test_a_folder_of_another_sweep_is_left_alone(tmp_path: Path) -> None:
    sweep = swept(write_plan(tmp_path), tmp_path / "out", 2)
    before = outcome(sweep)
    assert outcome(Sweep(sweep.plan, tmp_path / "out", 2)) == before
    other = read_plan(str(write_plan(tmp_path, method="bayes")))
    for plan, seed in ((other, 0), (sweep.plan, 1)):
        with pytest.raises(InputError, match="another sweep"):
            Sweep(plan, tmp_path / "out", 2, seed)
    with pytest.raises(InputError, match="--storage"):
        Sweep(sweep.plan, tmp_path / "none", 2, storage="nowhere://study")
    assert not (tmp_path / "none").exists()
    assert outcome(sweep) == before


@pytest.mark.parametrize("content", ["garbage\n", '{"op_code": 99}\n', "[]\n"])
def test_a_damaged_journal_is_told_by_its_place(content: str, tmp_path: Path) -> None:
    plan = read_plan(str(write_plan(tmp_path)))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "study.journal").write_text(content)
    with pytest.raises(InputError, match=r"damaged/study\.journal: no study can be kept there"):
        Sweep(plan, tmp_path / "damaged", 2)


def test_the_verb_tells_the_best_and_compares_it_with_what_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compared: list[list[str]] = []

    def compare(words: list[str]) -> Any:
        compared.append(words)
        verdict = "better" if len(compared) == 1 else "no difference found"
        label, apart = SimpleNamespace(label="Loss"), (-0.5, -0.6, -0.4)
        found = SimpleNamespace(
            metric=label,
            baseline=2.0,
            finetuned=1.5,
            difference=apart,
            p_holm=0.01,
            verdict=verdict,
        )
        return SimpleNamespace(findings=[found])

    monkeypatch.setattr("careergpt.cli.compare.run", compare)
    out = tmp_path / "out"
    parameters = {"model.lr": {"value": 1}, "lr": {"values": [0.5, 0.1]}, "pause": 0}
    path = write_plan(tmp_path, method="grid", parameters=parameters)
    words = ["sweep", f"--config={path}", "--trials=9", f"--out={out}", "--confirm=2"]
    main(words)
    said = capsys.readouterr().out
    assert "The best is trial 1 " in said
    best = yaml.safe_load((out / "best.yaml").read_text())
    assert best == {"model": {"lr": 1}, "lr": 0.1, "pause": 0}
    assert (out / "report.html").exists()
    for seed, told in enumerate(compared):
        for name, part in (("baseline", "start"), ("finetuned", "best-1")):
            run = out / "confirm" / part / "trials" / f"{seed:04}"
            assert f"--{name}={run / 'model'}" in told
            log = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            assert log[-1]["val/loss"] == (9 if part == "start" else 0.1) + 0.25
    assert said.rstrip().endswith("with 1 of 2 seeds.")
    main(words)  # Nothing is trained again.
    assert "with 0 of 2 seeds." in capsys.readouterr().out


def test_names_are_checked_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["${interpreter}", "main.py", "fit", "${args}"]
    path = write_plan(tmp_path, command=command, parameters={"model.learning_rate": {"value": 1}})
    with pytest.raises(SystemExit) as ended:
        main(["sweep", f"--config={path}", f"--out={tmp_path / 'out'}"])
    assert ended.value.code == 2
    assert "model.learning_rate" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_page_holds_all_that_it_shows(tmp_path: Path) -> None:
    path = write_plan(tmp_path)
    out = tmp_path / "out <b>"
    sweep = swept(path, out, 4)
    page = report_html(sweep.study, sweep.plan)
    assert "<b>" not in page.partition("<script")[0].replace("&lt;b&gt;", "")
    assert "Plotly.newPlot" in page
    assert 'src="http' not in page
    optuna.delete_study(study_name=out.name, storage=sweep.study._storage)
