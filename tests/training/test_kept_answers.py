"""A `predict` that was killed goes on where it was, and ends as if nothing had happened."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from careergpt.cli import main
from careergpt.generation import decoding
from careergpt.training import module, trainer
from careergpt.training.checkpoints import WholeCheckpoints
from tests.processes import of_torchrun, start, start_ranks

pytestmark = pytest.mark.usefixtures("one_thread")

TWO = of_torchrun(2)
PROMPTS = 51  # 26 batches of 2, the last of 1.


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """All options but the model, the number of ranks and the output."""
    asked = tmp_path_factory.mktemp("asked") / "asked.txt"
    prompts = [
        f"Which skills does a {'very ' * (n * n % 7)}good welder {n} need?" for n in range(51)
    ]
    asked.write_text("\n".join(prompts))
    return [
        f"--data.prompts={asked}", "--data.prompts_per_batch=2",
        "--model.decoding.max_new_tokens=10", "--trainer.logger=false",
        "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def words(common: list[str], tiny_gpt2: Path) -> list[str]:
    return ["predict", f"--model.pretrained={tiny_gpt2}", *common]


@pytest.fixture(scope="module")
def undisturbed(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a run writes that nothing disturbs: each prompt's answer once, in order."""
    out = tmp_path_factory.mktemp("undisturbed") / "out.jsonl"
    main([*words, f"--out={out}"])
    written = out.read_bytes()
    ids = [json.loads(line)["id"] for line in written.splitlines()]
    assert ids == [str(n) for n in range(1, PROMPTS + 1)]
    assert list(out.parent.iterdir()) == [out]
    return written


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def kept(out: Path) -> list[list[int]]:
    """The places that each whole line beside the output holds, of all ranks."""
    found = []
    for path in out.parent.glob("out.jsonl.rank*.partial"):
        for line in path.read_bytes().splitlines():
            with suppress(ValueError):  # Empty, or cut off.
                found.append([row["place"] for row in json.loads(line)["answers"]])
    return found


def kill(words: list[str], out: Path, batches: int, alone: bool = True, anew: bool = False) -> None:
    """Starts the command, and kills it with all its ranks once so many batches are kept."""
    words = [*words, f"--out={out}"]
    options: dict[str, Any] = {"cwd": out.parent, "start_new_session": True}
    options |= {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    running = [start(words, anew=anew, **options)] if alone else start_ranks(words, TWO, **options)
    try:
        while len(kept(out)) < batches:
            for one in running:
                assert one.poll() is None, one.stderr and one.stderr.read()
            time.sleep(0.002)
    finally:
        for one in running:
            os.killpg(one.pid, signal.SIGKILL)
        for one in running:
            one.communicate()
    assert not out.exists()


def assert_none_twice(out: Path) -> int:
    """How many prompts are answered; their batches are whole."""
    batches = kept(out)
    places = [place for batch in batches for place in batch]
    assert len(set(places)) == len(places) < PROMPTS
    assert sum(len(batch) == 1 for batch in batches) <= 1
    return len(places)


def assert_finishes(
    words: list[str], out: Path, expected: bytes, capsys: pytest.CaptureFixture[str], before: int
) -> None:
    """The command ends with these bytes, beside which nothing is left."""
    capsys.readouterr()
    main([*words, f"--out={out}"])
    told = capsys.readouterr().out
    assert (f"{before} prompts were answered before: not asked anew" in told) is (before > 0)
    assert f"{PROMPTS} answers are in {out}" in told
    assert out.read_bytes() == expected
    assert list(out.parent.iterdir()) == [out]


def test_a_killed_run_ends_as_an_undisturbed_one(
    words: list[str], undisturbed: bytes, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = 0
    for batches in (1, 12):
        kill(words, out, batches, anew=batches == 1)
        answered = assert_none_twice(out)
        assert answered > before
        before = answered
    assert_finishes(words, out, undisturbed, capsys, before)


def test_killed_ranks_end_as_one_undisturbed_process_on_ranks_or_alone(
    words: list[str], undisturbed: bytes, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on_two = [*words, "--trainer.devices=2", "--trainer.strategy=ddp"]
    kill(on_two, out, 9, alone=False)
    before = assert_none_twice(out)
    copy = out.parent / "copy"
    shutil.copytree(out.parent, copy)
    ended = start_ranks([*on_two, f"--out={copy / out.name}"], TWO, stdout=subprocess.PIPE)
    told = [one.communicate(timeout=240)[0] for one in ended]
    assert [one.returncode for one in ended] == [0, 0]
    assert "".join(told).count(f"{before} prompts were answered before") == 1
    assert (copy / out.name).read_bytes() == undisturbed
    assert list(copy.iterdir()) == [copy / out.name]
    shutil.rmtree(copy)
    assert_finishes(words, out, undisturbed, capsys, before)


@pytest.fixture(scope="module")
def begun(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What is kept of the first three batches."""
    out = tmp_path_factory.mktemp("begun") / "out.jsonl"
    main([*words, f"--out={out}", "--trainer.limit_predict_batches=3"])
    assert len(kept(out)) == 3
    return (out.parent / "out.jsonl.rank0.partial").read_bytes()


def partial(out: Path, rank: int = 0) -> Path:
    return out.parent / f"out.jsonl.rank{rank}.partial"


def test_what_is_left_unanswered_is_told_and_what_is_answered_stays(
    words: list[str], out: Path, undisturbed: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*words, f"--out={out}", "--trainer.limit_predict_batches=3"])
    told = f"6 of {PROMPTS} prompts are answered in {out}: the same command answers the others"
    assert told in capsys.readouterr().out
    assert set(out.read_bytes().splitlines()) < set(undisturbed.splitlines())
    assert_finishes(words, out, undisturbed, capsys, 6)


def test_answered_prompts_are_not_asked_anew(
    words: list[str], out: Path, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def noting(model: Any, tokenizer: Any, prompts: Any, *rest: Any) -> Any:
        asked.extend(prompt.place for prompt in prompts)
        return decoding.generate(model, tokenizer, prompts, *rest)

    monkeypatch.setattr(module, "generate", noting)
    partial(out, rank=5).write_bytes(begun)  # Of a run on more ranks.
    answered = [place for batch in kept(out) for place in batch]
    main([*words, f"--out={out}"])
    assert sorted([*answered, *asked]) == list(range(PROMPTS))


@pytest.mark.parametrize("left", ["nothing", "half a line", "all but the line's end", "half of it"])
def test_a_line_that_was_cut_off_is_asked_anew(
    words: list[str], undisturbed: bytes, begun: bytes, out: Path, left: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    lines = begun.splitlines(keepends=True)
    assert lines[0] == b"\n"
    cut, before = {
        "nothing": (b"", 0),
        "half a line": (lines[1][: len(lines[1]) // 2], 0),
        "all but the line's end": (begun[:-1], 6),
        "half of it": (b"".join(lines[:3]) + lines[3][:-2], 4),
    }[left]
    partial(out).write_bytes(cut)
    assert_finishes(words, out, undisturbed, capsys, before)


@pytest.fixture
def other_weights(tiny_gpt2: Path, tmp_path: Path) -> Path:
    """The same model but for one number of one matrix."""
    from transformers import GPT2LMHeadModel

    folder = tmp_path / "other"
    shutil.copytree(tiny_gpt2, folder)
    model = GPT2LMHeadModel.from_pretrained(tiny_gpt2)
    with torch.no_grad():
        model.transformer.h[1].mlp.c_fc.weight[3, 5] += 1e-3
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def other_checkpoint(other_weights: Path, tmp_path: Path) -> Path:
    """Those weights as a training checkpoint."""
    from transformers import GPT2LMHeadModel

    model = GPT2LMHeadModel.from_pretrained(other_weights)
    weights = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    content = {"state_dict": weights, "pytorch-lightning_version": "2.6.0"}
    WholeCheckpoints().save_checkpoint(content, tmp_path / "o.ckpt")
    return tmp_path / "o.ckpt"


@pytest.mark.parametrize("what", ["model", "checkpoint", "prompts", "decoding", "batches"])
def test_answers_of_other_work_are_not_mixed_in(
    words: list[str], undisturbed: bytes, other_weights: Path, other_checkpoint: Path, what: str,
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "prompts.txt").write_text(
        "\n".join(f"What does a {n} need?" for n in range(PROMPTS))
    )
    other = {
        "model": f"--model.pretrained={other_weights}",
        "checkpoint": f"--ckpt_path={other_checkpoint}",
        "prompts": f"--data.prompts={tmp_path / 'prompts.txt'}",
        "decoding": "--model.decoding.seed=1",
        "batches": "--data.prompts_per_batch=3",
    }[what]
    out = tmp_path / "answers" / "out.jsonl"
    out.parent.mkdir()
    few = "--trainer.limit_predict_batches=3"
    main([*words, f"--out={out}", few])
    main([*words, other, f"--out={out}", few])
    told = capsys.readouterr().out
    assert "not used: out.jsonl.rank0.partial (another model, other prompts or decoding)" in told
    assert "answered before" not in told
    assert len(kept(out)) == 6
    # What was kept of ours is still of use.
    assert_finishes(words, out, undisturbed, capsys, 6)


def error_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that the command fails with."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_folder_that_takes_no_file_is_an_error_in_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert error_of([*words, "--out=/proc/out.jsonl"], capsys).startswith(
        "error: cannot write /proc/out.jsonl"
    )


def test_a_full_disk_is_an_error_in_one_line_and_loses_nothing(
    words: list[str], undisturbed: bytes, out: Path, capsys: pytest.CaptureFixture[str],
    full_disk: Callable[[int], None],
) -> None:  # fmt: skip
    full_disk(2000)
    error = error_of([*words, f"--out={out}"], capsys)
    assert error.startswith(f"error: cannot write {partial(out)}: File too large (")
    full_disk(resource.RLIM_INFINITY)
    assert 0 < len(kept(out)) < 26
    assert_finishes(words, out, undisturbed, capsys, assert_none_twice(out))


def test_an_output_that_cannot_be_written_costs_no_answer(
    words: list[str], undisturbed: bytes, out: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "write_lines", full)
        error = error_of([*words, f"--out={out}"], capsys)
    assert error.startswith(f"error: cannot write {out}: No space left on device (")
    assert_finishes(words, out, undisturbed, capsys, PROMPTS)
