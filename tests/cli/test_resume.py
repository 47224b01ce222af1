"""Laws of resuming: a run that was interrupted ends as if nothing had happened, or says why not."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import torch

from careergpt.cli import main
from careergpt.training.checkpoints import WholeCheckpoints
from tests.processes import start

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def words(short: list[str]) -> list[str]:
    """A fit of about ten steps, its state kept at each of them."""
    return [
        "fit", *short, "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1",
        "--data.batch_tokens=2048", "--titles.limit=0",
        "--rankings.limit=0", "--samples.prompts=['Who?']", "--samples.records=0",
        "--samples.max_new_tokens=2", "--checkpoints.every_n_steps=1", "--ckpt_path=last",
        "--model.dropout=0.3",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def whole(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run that was left in peace."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with chdir(folder.parent):
        main([*words, into(folder)])
    return folder


def into(folder: Path) -> str:
    return f"--trainer.default_root_dir={folder}"


def started(words: list[str], **options: Any) -> subprocess.Popen[str]:
    """Leads a group of its own, and what it prints can be read."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return start(words, start_new_session=True, **pipes, **options)


def logged(folder: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    rows = map(json.loads, (folder / name).read_text(encoding="utf-8").splitlines())
    timed = ("train/tokens_per_second", "train/waiting_share")
    return [{k: v for k, v in row.items() if k not in timed} for row in rows]


def wait_for_step(process: subprocess.Popen[str], folder: Path, step: int) -> None:
    path = folder / "metrics.jsonl"
    while process.poll() is None:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if f'"step": {step}, "train/loss"' in text:
            return
        time.sleep(0.005)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def assert_same_end(one: Path, other: Path) -> None:
    states = [torch.load(run / "checkpoints" / "resume.ckpt") for run in (one, other)]
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert same(states[0][part], states[1][part]), part
    for name in ("metrics.jsonl", "samples.jsonl"):
        assert logged(one, name) == logged(other, name)
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (one, other)]
    assert weights[0] == weights[1]


def test_a_run_killed_again_and_again_ends_as_one_left_in_peace(
    words: list[str], whole: Path, tmp_path: Path
) -> None:
    folder, total = tmp_path / "killed", max(row["step"] for row in logged(whole)) + 1
    for step in (1, total // 2):
        with started([*words, into(folder)]) as process:
            wait_for_step(process, folder, step)
            assert process.poll() is None
            os.killpg(process.pid, signal.SIGKILL)
    main([*words, into(folder)])
    assert_same_end(whole, folder)


def test_a_signal_ends_a_step_saves_and_says_how_to_go_on(
    words: list[str], whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "a rün"
    with started([*words, into(folder)]) as process:
        wait_for_step(process, folder, 3)
        process.terminate()
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    config = f"'{folder / 'config.yaml'}'"
    last = told.strip().splitlines()[-1]
    assert last.startswith("stopped by SIGTERM after step ")
    assert last.endswith(f"Go on with: python main.py fit --config {config} --ckpt_path last")
    main(["fit", f"--config={folder / 'config.yaml'}", "--ckpt_path=last"])
    assert_same_end(whole, folder)


SCHEDULE = json.dumps(
    {
        "class_path": "lightning.pytorch.callbacks.GradientAccumulationScheduler",
        "init_args": {"scheduling": {"0": 2, "1": 3}},
    }
)


class StopError(Exception):
    """Stands for whatever breaks."""


@pytest.mark.parametrize(
    "options",
    [
        ["--trainer.accumulate_grad_batches=4", "--data.batch_tokens=1024", "--data.workers=2"],
        ["--data.pack=false", "--data.batch_size=16", "--trainer.val_check_interval=0.4"],
        ["--trainer.max_steps=12", "--trainer.max_epochs=5", "--checkpoints.every_n_steps=null"],
        ["--data.batch_tokens=1024", f"--trainer.callbacks={SCHEDULE}"],
        ["--model.gradient_checkpointing=true"],
    ],
    ids=[
        "accumulating, loader processes",
        "padded, validating within an epoch",
        "steps",
        "schedule",
        "blocks computed anew",
    ],
)
def test_every_kind_of_run_goes_on_exactly(
    words: list[str], tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--data.pack=false" in options:
        words = [word for word in words if "batch_tokens" not in word]
    words = [*words, *options]
    main([*words, into(tmp_path / "whole")])
    # Breaks in a validation, of padded rows within it, and within steps of both epochs.
    within = int("--data.pack=false" in options)
    for name, calls in (("training_step", 2), ("validation_step", within), ("training_step", 3)):
        _breaking(monkeypatch, name, calls)
        with pytest.raises(StopError):
            main([*words, into(tmp_path / "broken")])
        monkeypatch.undo()
    main([*words, into(tmp_path / "broken")])
    assert_same_end(tmp_path / "whole", tmp_path / "broken")


def _breaking(monkeypatch: pytest.MonkeyPatch, name: str, calls: int) -> None:
    """The module's step breaks at its so many-th call while a model is trained."""
    from careergpt.training.module import CareerModule

    step, left = getattr(CareerModule, name), [calls]

    def counted(self: Any, batch: Any, batch_idx: int) -> Any:
        left[0] -= not self.trainer.sanity_checking
        if left[0] < 0:
            raise StopError
        return step(self, batch, batch_idx)

    monkeypatch.setattr(CareerModule, name, counted)


def test_a_finished_run_says_so_and_changes_nothing(
    words: list[str], whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as left:
        main([*words, into(whole)])
    assert not left.value.code
    assert f"this run is finished: its model is in {whole / 'model'}" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.fixture(scope="module")
def broken(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that broke in its second epoch; tests take a copy."""
    folder = tmp_path_factory.mktemp("broken") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder.parent)
        _breaking(monkeypatch, "training_step", 7)
        with pytest.raises(StopError):
            main([*words, into(folder)])
    return folder


@pytest.fixture
def half(broken: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(broken, tmp_path / "half"))


CHANGES = {
    "batch": ("--data.batch_tokens=900", "a batch's tokens (--data.batch_tokens) was 2048 and is"),
    "seed": ("--seed_everything=7", "--seed_everything was 0 and is 7"),
    "accumulation": ("--trainer.accumulate_grad_batches=2", "accumulate_grad_batches was 1"),
    "length": ("--data.max_length=100", "their tokens (tokenizer, --data.max_length) was tokens-"),
    "weights": ("--data.tasks.path.weight=2", "the tasks' weights was {"),
    "masking": ("--data.mask_contacts=false", "the data (tables, cleaning, tasks' templates) was"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_changed_run_is_refused_in_one_line_and_left_as_it_was(
    words: list[str], half: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    option, said = CHANGES[case]
    kept = [path for path in half.rglob("*") if path.is_file()]
    before = [path.read_bytes() for path in kept]
    with pytest.raises(SystemExit, match="2"):
        main([*words, into(half), option])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: the run cannot go on exactly: ")
    assert said in error
    assert "--checkpoints.allow_changes=true" in error
    assert [path.read_bytes() for path in kept] == before


def test_a_change_that_is_allowed_begins_the_epoch_anew_and_says_so(
    words: list[str], half: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*words, into(half), "--data.batch_tokens=900", "--checkpoints.allow_changes=true"])
    out = capsys.readouterr().out
    assert "no longer the run that was interrupted: a batch's tokens" in out
    losses = [row for row in logged(half) if "val/loss" in row]
    assert len(losses) == 3  # The start, and two epochs.


@pytest.mark.parametrize("size", ["n_embd=32", "n_head=4", "n_layer=2"])
def test_another_model_is_refused(
    words: list[str], half: Path, size: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*words, into(half), f"--model.scratch.{size}"])
    assert "the checkpoint is of " in capsys.readouterr().err


@pytest.mark.parametrize("part", ["vocabulary", "tokenization"])
def test_an_edited_tokenizer_is_another_model_whatever_changes_are_allowed(
    words: list[str], half: Path, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited = Path(shutil.copytree(ROOT / "data" / "tokenizer", tmp_path / "edited"))
    content = json.loads((edited / "tokenizer.json").read_text(encoding="utf-8"))
    parts = content["model"]["vocab" if part == "vocabulary" else "merges"]
    one, other = list(parts)[400:402] if part == "vocabulary" else (400, 401)
    parts[one], parts[other] = parts[other], parts[one]
    (edited / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    words = [*words, f"--model.scratch.tokenizer={edited}", "--checkpoints.allow_changes=true"]
    with pytest.raises(SystemExit, match="2"):
        main([*words, into(half)])
    assert f"of another model (its tokens' {part} was" in capsys.readouterr().err


FORGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no loops": lambda state: state.pop("loops"),
    "no callbacks": lambda state: state.pop("callbacks"),
    "no schedulers": lambda state: state.pop("lr_schedulers"),
    "no optimizers": lambda state: state.pop("optimizer_states"),
    "loops of text": lambda state: state.update(loops="all"),
    "no position": lambda state: state["careergpt"].pop("position"),
    "a list in our place": lambda state: state.update(careergpt=[1]),
    "an end of text": lambda state: state["careergpt"].update(finished="yes"),
    "optimizers of numbers": lambda state: state.update(optimizer_states=[1]),
    "callbacks of text": lambda state: state.update(callbacks="none"),
}


@pytest.mark.parametrize("forge", FORGED)
def test_a_state_that_no_run_has_written_is_one_line(
    words: list[str], half: Path, forge: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = half / "checkpoints" / "resume.ckpt"
    state = torch.load(path)
    FORGED[forge](state)
    WholeCheckpoints().save_checkpoint(state, path)
    with pytest.raises(SystemExit, match="2"):
        main([*words, into(half), f"--ckpt_path={path}"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --ckpt_path: ")


def test_a_pretrained_model_that_the_checkpoint_would_replace_is_refused(
    words: list[str], half: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*words, into(half), f"--model.pretrained={whole / 'model'}"])
    error = capsys.readouterr().err
    assert f"another model (--model.pretrained was None and is {whole / 'model'})" in error


DAMAGES = {
    "truncated": lambda content: content[: len(content) // 2],
    "a flipped bit": lambda content: content[:5000] + bytes([content[5000] ^ 4]) + content[5001:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_named_and_the_one_before_it_taken(
    words: list[str], half: Path, whole: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = half / "checkpoints" / "resume.ckpt"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    main([*words, into(half)])
    assert f"passed over: {path} is damaged (" in capsys.readouterr().out
    assert_same_end(whole, half)


def test_no_state_that_is_whole_is_one_line(
    words: list[str], half: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (half / "checkpoints").iterdir():
        path.write_bytes(b"")
    with pytest.raises(SystemExit, match="2"):
        main([*words, into(half)])
    error = capsys.readouterr().err.strip()
    assert error == f"error: every checkpoint in {half / 'checkpoints'} is damaged: start a new run"


def test_a_loss_that_is_not_finite_takes_no_step_and_leaves_a_sound_state(
    words: list[str], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from careergpt.training.module import CareerModule

    loss, left = CareerModule.loss, [6]

    def breaking(self: Any, batch: Any) -> Any:
        left[0] -= 1
        found = loss(self, batch)
        return found if left[0] else found._replace(nats=found.nats * float("nan"))

    monkeypatch.setattr(CareerModule, "loss", breaking)
    folder = tmp_path / "broken"
    with pytest.raises(SystemExit, match="2"):
        main([*words, into(folder)])
    monkeypatch.undo()
    assert "not finite at step 5, which was not taken" in capsys.readouterr().err
    broken = json.loads((folder / "broken_step.json").read_text())
    assert broken["step"] == 5
    assert all({"task", "id", "place"} == set(record) for record in broken["records"])
    assert len({record["id"] for record in broken["records"]}) > 1
    main([*words, into(folder)])
    assert_same_end(whole, folder)


def test_a_second_run_in_the_same_folder_is_refused_until_the_first_is_killed(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    with started([*words, into(folder), "--trainer.max_epochs=50", "--data.workers=1"]) as process:
        wait_for_step(process, folder, 1)
        with pytest.raises(SystemExit, match="2"):
            main([*words, into(folder)])
        error = capsys.readouterr().err
        assert f"error: {folder} is in use by another run: wait for it" in error
        process.kill()  # Its loader process lives on for a while.
        process.wait()
        main([*words, into(folder), "--data.workers=1"])


def test_out_of_memory_says_what_to_lower(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from careergpt.training.module import CareerModule

    def greedy(self: Any, batch: Any) -> Any:
        return torch.empty(1 << 60)

    monkeypatch.setattr(CareerModule, "loss", greedy)
    with pytest.raises(SystemExit, match="2"):
        main([*words, into(tmp_path / "run")])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: out of memory (")
    for option in ("data.batch_tokens", "data.max_length", "trainer.precision"):
        assert option in error


def test_a_loader_process_that_is_killed_ends_the_run_in_one_line(
    words: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with started([*words, into(folder), "--trainer.max_epochs=90", "--data.workers=1"]) as process:
        wait_for_step(process, folder, 1)
        found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(found[0]), signal.SIGKILL)
        told, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "a loader process is gone" in told.strip().splitlines()[-1]
    assert "Traceback" not in told


def test_a_state_that_was_written_and_not_yet_named_is_the_newest(
    words: list[str], half: Path, whole: Path
) -> None:
    folder = half / "checkpoints"
    (folder / "resume.ckpt").rename(folder / "resume-new.ckpt")
    main([*words, into(half)])
    assert_same_end(whole, half)
    assert not (folder / "resume-new.ckpt").exists()


def test_what_a_resumed_run_tells_to_type_next_works(
    words: list[str], half: Path, quiet: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main([*words, into(half)])
    told = capsys.readouterr().out.splitlines()
    (line,) = [line for line in told if "main.py test" in line]
    main([*shlex.split(line)[2:], "--queries=0"])
    assert "examples scored" in capsys.readouterr().out
    assert "ckpt_path: null" in (half / "config.yaml").read_text()


def test_a_run_goes_on_where_its_folder_was_moved_to(
    words: list[str], half: Path, whole: Path, tmp_path: Path
) -> None:
    moved = half.rename(tmp_path / "moved")
    main(["fit", f"--config={moved / 'config.yaml'}", "--ckpt_path=last"])
    assert not half.exists()
    assert_same_end(whole, moved)
    best = torch.load(moved / "checkpoints" / "best.ckpt")["callbacks"]
    (state,) = [state for name, state in best.items() if name.startswith("BestWeights")]
    assert Path(state["best_model_path"]).parent == moved / "checkpoints"


def test_the_best_weights_are_a_third_of_a_state_and_no_run_goes_on_from_them(
    words: list[str], whole: Path, half: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {path.name: path.stat().st_size for path in (whole / "checkpoints").iterdir()}
    assert set(sizes) == {"best.ckpt", "resume.ckpt"}
    weights = (whole / "model" / "model.safetensors").stat().st_size
    assert sizes["best.ckpt"] < 1.2 * weights + 50_000
    best = half / "checkpoints" / "best.ckpt"
    best.write_bytes((whole / "checkpoints" / "best.ckpt").read_bytes())
    with pytest.raises(SystemExit, match="2"):
        main([*words, into(half), "--ckpt_path=best"])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "the best weights alone are in this checkpoint: resume with --ckpt_path last" in error


def test_a_full_disk_is_one_line_wherever_it_shows(
    words: list[str], whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(SystemExit, match="2"):
        main([*words, into(folder)])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: cannot write")
    assert "No space left on device" in error


def test_what_stopped_a_run_early_may_be_lifted(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*words, into(tmp_path / "run"), "--trainer.max_epochs=4"]
    stopper = {
        "class_path": "lightning.pytorch.callbacks.EarlyStopping",
        "init_args": {"monitor": "val/loss", "min_delta": 100.0, "patience": 1},
    }
    stopped = [*words, f"--trainer.callbacks={json.dumps([stopper])}"]
    main(stopped)
    assert len(ends_of_epochs(tmp_path / "run")) == 3
    with pytest.raises(SystemExit):
        main(stopped)
    assert "this run is finished" in capsys.readouterr().out
    main(words)
    assert len(ends_of_epochs(tmp_path / "run")) == 5


def ends_of_epochs(folder: Path) -> list[dict[str, Any]]:
    """The validations, that of the starting model included."""
    return [row for row in logged(folder) if "val/loss" in row]


def test_a_run_that_was_killed_as_it_finished_ends_with_its_average(
    words: list[str], tmp_path: Path
) -> None:
    average = {"class_path": "lightning.pytorch.callbacks.EMAWeightAveraging"}
    more = ["--trainer.limit_val_batches=0", f"--trainer.callbacks={json.dumps([average])}"]
    folder = tmp_path / "run"
    weights = folder / "model" / "model.safetensors"
    main([*words, into(folder), *more])
    whole = weights.read_bytes()
    shutil.rmtree(folder / "model")
    main([*words, into(folder), *more])
    assert weights.read_bytes() == whole


def test_the_last_weights_stand_in_for_damaged_best_ones(
    words: list[str], whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "copy"))
    shutil.rmtree(folder / "model")
    (folder / "checkpoints" / "best.ckpt").write_bytes(b"")
    main([*words, into(folder)])
    assert "the last weights instead of the best" in capsys.readouterr().out
    assert (folder / "model" / "README.md").exists()
