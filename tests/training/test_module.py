"""Laws of training: its rates, its dropout, its decay."""

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from careergpt.data.batches import Scored, collate
from careergpt.errors import InputError
from careergpt.modeling.folder import Scratch
from careergpt.training.logs import MetricsLog
from careergpt.training.module import CareerModule, lr_share

Fit = Callable[..., CareerModule]


def singles(examples: list[Scored]) -> list[list[list[Scored]]]:
    return [[[example]] for example in examples]


@pytest.mark.parametrize(("total", "warmup"), [(100, 0.1), (7, 0.3), (1000, 0.05), (20, 0.0)])
def test_the_rate_rises_to_its_peak_and_falls_to_its_end(total: int, warmup: float) -> None:
    shares = [lr_share(step, total, warmup, 0.1) for step in range(total + 1)]
    peak = max(round(warmup * total), 1) - 1
    assert shares[peak] == max(shares) == 1
    assert shares[0] > 0
    assert all(b > a for a, b in pairwise(shares[: peak + 1]))
    after = shares[peak + 1 :]
    assert all(b < a for a, b in pairwise(after))
    assert shares[-1] == pytest.approx(0.1)


def test_the_rise_is_a_line_and_half_way_down_lies_the_middle() -> None:
    assert [lr_share(s, 110, 10 / 110, 0.2) for s in range(10)] == pytest.approx(
        [n / 10 for n in range(1, 11)]
    )
    assert lr_share(60, 110, 10 / 110, 0.2) == pytest.approx(0.6)


def test_past_the_last_step_the_rate_stays_at_its_end() -> None:
    assert lr_share(500, 100, 0.1, 0.25) == pytest.approx(0.25)


def test_the_optimizer_follows_the_rates(fit: Fit, examples: list[Scored]) -> None:
    rates: list[float] = []

    class Watch(Callback):
        def on_before_zero_grad(self, trainer: Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    fit(
        singles(examples), module={"lr": 2e-3, "warmup": 0.25, "final_lr": 0.5}, callbacks=[Watch()]
    )
    # The hook comes before each batch's backward pass: at step n the rate is that of step n.
    assert rates == pytest.approx([2e-3 * lr_share(step, 12, 0.25, 0.5) for step in range(12)])


def test_decay_falls_on_matrices_alone(fit: Fit, examples: list[Scored]) -> None:
    model = fit(singles(examples[:1]), module={"weight_decay": 0.3, "betas": (0.8, 0.9)})
    optimizer = model.trainer.optimizers[0]
    assert isinstance(optimizer, torch.optim.AdamW)
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert len(decays) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        plain = name.endswith("bias") or ".ln_" in name
        assert decays[id(parameter)] == (0.0 if plain else 0.3), name
    assert all(group["betas"] == (0.8, 0.9) for group in optimizer.param_groups)


def test_a_loaded_model_is_trained_in_training_mode_with_its_dropout(
    fit: Fit, examples: list[Scored]
) -> None:
    modes: list[bool] = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
            modes.append(all(module.training for module in pl_module.model.modules()))

    model = fit(
        singles(examples), val=singles(examples[:2]), callbacks=[Watch()], max_epochs=2,
        module={"dropout": 0.25},
    )  # fmt: skip
    assert modes == [True] * 24
    rates = {n: m.p for n, m in model.named_modules() if isinstance(m, torch.nn.Dropout)}
    assert set(rates.values()) == {0.25, 0.0}
    assert all((rate == 0) == name.endswith("attn_dropout") for name, rate in rates.items())


def test_dropout_is_on_in_training_and_off_in_scoring(fit: Fit, examples: list[Scored]) -> None:
    training: list[float] = []
    scoring: list[float] = []

    class Still(CareerModule):
        """Scores the same batch again and again, never moving."""

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            loss = super().training_step(batch, batch_idx)
            training.append(loss.item())
            return loss

        def on_validation_epoch_end(self) -> None:
            super().on_validation_epoch_end()
            scoring.append(self.last_quality[""].loss)

    same = [[[examples[1]]]] * 3
    still = {"dropout": 0.5, "lr": 1e-30, "weight_decay": 0.0}
    model = fit(same, val=same[:1], kind=Still, module=still, max_epochs=2)
    assert len(set(training)) == 6
    assert scoring[0] == scoring[1]
    model.model.eval()
    loss = model.loss(collate(same[0]))
    assert scoring[0] == pytest.approx((loss.nats / loss.tokens).item(), rel=1e-6)


def test_the_weights_are_loaded_only_once(fit: Fit, examples: list[Scored]) -> None:
    model = fit(singles(examples))
    trained = model.model
    model.configure_model()
    assert model.model is trained


@pytest.mark.parametrize(
    ("name", "rate"),
    [("lr", -1.0), ("weight_decay", -0.1), ("warmup", 1.5), ("dropout", 1.1), ("dropout", -0.1)],
)
def test_rates_out_of_range_are_named(tiny_gpt2: Path, name: str, rate: float) -> None:
    with pytest.raises(InputError, match=rf"model\.{name} must be 0 or more.*, found"):
        CareerModule(pretrained=str(tiny_gpt2), **{name: rate})


def test_pretrained_wins_over_scratch(tiny_gpt2: Path) -> None:
    model = CareerModule(pretrained=str(tiny_gpt2), scratch=Scratch(tokenizer="nowhere"))
    assert model.tokenizer_source == str(tiny_gpt2)
    assert model.context == 128


def test_a_scratch_model_has_the_sizes_asked(tiny_gpt2: Path) -> None:
    sizes = Scratch(n_layer=3, n_head=2, n_embd=16, n_positions=40, tokenizer=str(tiny_gpt2))
    model = CareerModule(scratch=sizes, dropout=0.0)
    model.configure_model()
    assert model.context == 40
    assert len(model.model.base_model.h) == 3
    assert model.model.base_model.wte.weight.shape == (len(model.tokenizer), 16)


def test_once_the_loss_breaks_no_step_changes_the_weights(
    fit: Fit, examples: list[Scored], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[list[torch.Tensor]] = []

    class Breaks(CareerModule):
        """Its second batch costs infinitely much; nobody looks, as between a GPU's logged steps."""

        def loss(self, batch: Any) -> Any:
            found = super().loss(batch)
            kept.append([p.detach().clone() for p in self.parameters()])
            return found._replace(nats=found.nats * (math.inf if len(kept) == 2 else 1))

        def check_steps(self) -> None:
            pass

    model = fit(singles(examples[:4]), kind=Breaks)
    kept.append([p.detach().clone() for p in model.parameters()])
    assert len(kept) == 5
    assert not all(map(torch.equal, kept[0], kept[1]))
    for later in kept[2:]:
        assert all(map(torch.equal, kept[1], later))


def test_a_broken_loss_ends_the_training_and_names_its_records(
    fit: Fit, examples: list[Scored], tmp_path: Path
) -> None:
    class Breaks(CareerModule):
        def loss(self, batch: Any) -> Any:
            found = super().loss(batch)
            return found._replace(nats=found.nats * math.nan)

    with pytest.raises(InputError, match=r"not finite at step 0, .* lower model\.lr"):
        fit(singles(examples[:4]), kind=Breaks)
    broken = json.loads((tmp_path / "broken_step.json").read_text())
    assert broken == {"step": 0, "records": [{"id": "record 0"}]}


def validations(folder: Path) -> list[dict[str, Any]]:
    rows = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [row for row in rows if "val/loss" in row]


def test_the_first_validation_is_of_the_starting_model_and_changes_no_weight(
    fit: Fit, examples: list[Scored], tiny_gpt2: Path, tmp_path: Path
) -> None:
    trained = []
    for steps in (0, -1):
        log = MetricsLog(str(tmp_path / str(steps)))
        model = fit(
            singles(examples), val=singles(examples[:5]), module={"dropout": 0.3}, logger=log,
            num_sanity_val_steps=steps,
        )  # fmt: skip
        trained.append(model.state_dict())
    assert all(torch.equal(trained[0][name], weight) for name, weight in trained[1].items())
    (last,), (first, again) = validations(tmp_path / "0"), validations(tmp_path / "-1")
    assert again == last
    start = CareerModule(pretrained=str(tiny_gpt2))
    start.configure_model()
    start.model.eval()
    losses = [start.loss(collate(rows)) for rows in singles(examples[:5])]
    loss = sum(one.nats.item() for one in losses) / sum(one.tokens.item() for one in losses)
    assert first["step"] == 0
    assert first["val/loss"] == pytest.approx(loss, rel=1e-5)
    assert set(first) == set(again) - {"epoch"}


def test_a_check_of_a_few_batches_is_no_first_point(
    fit: Fit, examples: list[Scored], tmp_path: Path
) -> None:
    log = MetricsLog(str(tmp_path))
    some = singles(examples)
    fit(some, val=some[:5], logger=log, num_sanity_val_steps=2)
    assert [row["step"] for row in validations(tmp_path)] == [11]


def test_the_starting_model_is_never_the_best_and_stops_nothing(
    fit: Fit, examples: list[Scored], tmp_path: Path
) -> None:
    best = ModelCheckpoint(tmp_path / "checkpoints", monitor="val/loss")
    early = EarlyStopping("val/loss", patience=1)
    model = fit(
        singles(examples), val=singles(examples[:5]), logger=MetricsLog(str(tmp_path)),
        module={"lr": 0.5, "warmup": 0.0}, callbacks=[best, early], enable_checkpointing=True,
        num_sanity_val_steps=-1,
    )  # fmt: skip
    first, last = (row["val/loss"] for row in validations(tmp_path))
    assert first < last
    assert best.best_model_score == pytest.approx(last)
    assert early.best_score == pytest.approx(last)
    assert model.trainer.global_step == 12
