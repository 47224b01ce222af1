"""A run that trains its own tokenizer."""

import json
from pathlib import Path

import pytest

from careergpt.cli import main
from careergpt.data.datamodule import CareerDataModule
from careergpt.data.splits import TRAIN
from careergpt.data.tokens import load_tokenizer


@pytest.fixture
def own(short: list[str]) -> list[str]:
    return [*short, "--model.scratch.vocabulary=400", "--titles.limit=0", "--rankings.limit=0"]


def test_the_run_keeps_its_tokenizer_and_goes_on_with_it(own: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    root = f"--trainer.default_root_dir={run}"
    main(["fit", *own, root])
    kept = (run / "tokenizer" / "tokenizer.json").read_bytes()
    for folder in ("model", "baseline"):
        tokenizer = load_tokenizer(str(run / folder))
        assert len(tokenizer) == 400
        assert tokenizer.get_vocab() == load_tokenizer(str(run / "tokenizer")).get_vocab()
    # Resuming trains no other: the weights belong to this one, whatever the table holds by now.
    (run / "tokenizer" / "marked").touch()
    main(
        ["fit", "--config", str(run / "config.yaml"), "--ckpt_path=last", "--trainer.max_epochs=2"]
    )
    assert (run / "tokenizer" / "marked").exists()
    assert (run / "tokenizer" / "tokenizer.json").read_bytes() == kept
    epochs = [json.loads(line).get("epoch", 0) for line in (run / "metrics.jsonl").open()]
    assert max(epochs) == 1


def test_too_small_a_vocabulary_is_one_line_and_leaves_no_run(
    own: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    with pytest.raises(SystemExit) as end:
        main(["fit", *own, "--model.scratch.vocabulary=5", f"--trainer.default_root_dir={run}"])
    assert end.value.code == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert "model.scratch.vocabulary must be 257 or more" in error[0]
    assert not run.exists()


def test_the_tokenizer_sees_training_records_alone(sample: list[str]) -> None:
    options = dict(option.removeprefix("--data.").split("=") for option in sample)
    data = CareerDataModule(options["source"], cache=options["cache"], processes=1).open()
    texts = "\n".join(data.texts(TRAIN))
    seen = {"training": 0, "unseen": 0}
    for home, text in zip(data.split, data.table["job_description"].to_pylist(), strict=True):
        if text:
            seen["training" if home == TRAIN else "unseen"] += text in texts
    assert seen["training"] > 50
    assert seen["unseen"] == 0
