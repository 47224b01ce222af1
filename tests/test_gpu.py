"""Mixed precision on a GPU: fit, validate and predict."""

import json
import math
from pathlib import Path

import pytest
import torch

from careergpt.cli import main

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_gpu_fits_validates_and_predicts(
    precision: str, tables: Path, tiny_gpt2: Path, tmp_path: Path
) -> None:
    common = [
        "--trainer.accelerator=gpu", "--trainer.devices=1", f"--trainer.precision={precision}",
        "--trainer.enable_progress_bar=false", "--trainer.logger=false",
        f"--data.source={tables}", f"--data.cache={tmp_path / 'cache'}",
    ]  # fmt: skip
    run = tmp_path / "run"
    main([
        "fit", f"--model.pretrained={tiny_gpt2}", *common, "--data.batch_tokens=512",
        "--trainer.max_epochs=3", "--trainer.gradient_clip_val=1.0", "--model.lr=0.003",
        "--trainer.log_every_n_steps=1", f"--trainer.default_root_dir={run}", "--titles.limit=8",
        "--samples.max_new_tokens=4",
    ])  # fmt: skip
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [row["val/loss"] for row in rows if "val/loss" in row]
    assert len(losses) == 3
    assert losses[-1] < losses[0] < math.log(2048) + 0.1
    model = f"--model.pretrained={run / 'model'}"
    main(["validate", model, *common])
    main(["test", model, *common, "--data.splits=all", f"--json={tmp_path / 'test.json'}"])
    whole = json.loads((tmp_path / "test.json").read_text())[0]
    assert math.isfinite(whole["loss"])
    few = "--model.decoding.max_new_tokens=5"
    main(["predict", model, *common, few, f"--out={tmp_path / 'out.jsonl'}"])
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert answers
    assert all(math.isfinite(answer["log_probability"]) for answer in answers)
