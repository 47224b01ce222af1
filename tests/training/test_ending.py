"""Laws of a run's end: the last weights are judged, the average is the model, the end is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    GradientAccumulationScheduler,
    ModelCheckpoint,
    Timer,
    WeightAveraging,
)

from careergpt.data.batches import Scored, collate
from careergpt.errors import InputError
from careergpt.training.callbacks import Ending, check_callbacks
from careergpt.training.checkpoints import BestWeights
from careergpt.training.logs import MetricsLog
from careergpt.training.module import CareerModule, lr_share
from careergpt.training.samples import SampleAnswers

Fit = Callable[..., CareerModule]


def singles(examples: list[Scored]) -> list[list[list[Scored]]]:
    return [[[example]] for example in examples]


def logged(folder: Path, name: str) -> list[dict[str, Any]]:
    rows = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [row for row in rows if name in row]


class StopAfter(Callback):
    """Asks for an end when so many epochs are over."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.current_epoch + 1 == self._epochs


ENDS: dict[str, dict[str, Any]] = {
    "within an epoch": {"max_steps": 5},
    "within the second epoch": {"max_steps": 17, "max_epochs": 3},
    "between two validations": {"val_check_interval": 5},
    "an epoch that is not validated": {"max_epochs": 3, "check_val_every_n_epoch": 2},
    "a stop after such an epoch": {"max_epochs": 9, "check_val_every_n_epoch": 2, "stop": 3},
    "by the clock": {"callbacks": [Timer({"milliseconds": 1})]},
    "where it is validated anyway": {"max_steps": 12},
}


@pytest.mark.parametrize("end", ENDS)
def test_the_last_weights_are_validated_once_wherever_a_run_ends(
    end: str, fit: Fit, examples: list[Scored], tmp_path: Path
) -> None:
    options = dict(ENDS[end])
    callbacks = [Ending(), *options.pop("callbacks", ())]
    if stop := options.pop("stop", None):
        callbacks.append(StopAfter(stop))
    model = fit(
        singles(examples), val=singles(examples[:5]), logger=MetricsLog(str(tmp_path)),
        callbacks=callbacks, **options,
    )  # fmt: skip
    found = logged(tmp_path, "val/loss")
    steps = [row["step"] + 1 for row in found]
    assert steps[-1] == model.trainer.global_step
    assert len(set(steps)) == len(steps)
    model.model.eval()
    losses = [model.loss(collate(rows)) for rows in singles(examples[:5])]
    loss = sum(one.nats.item() for one in losses) / sum(one.tokens.item() for one in losses)
    assert found[-1]["val/loss"] == pytest.approx(loss, rel=1e-5)


def test_the_best_weights_may_be_the_last(fit: Fit, examples: list[Scored], tmp_path: Path) -> None:
    best = BestWeights(tmp_path / "checkpoints")
    model = fit(
        singles(examples), val=singles(examples[:5]), callbacks=[Ending(), best],
        enable_checkpointing=True, max_steps=17, max_epochs=2, module={"lr": 1e-3},
    )  # fmt: skip
    kept = torch.load(best.best_model_path)
    assert kept["global_step"] == 17
    for name, weight in model.state_dict().items():
        assert torch.equal(kept["state_dict"][name], weight)


@pytest.mark.parametrize("kind", ["exponential", "plain"])
def test_what_is_validated_sampled_and_kept_is_the_average(
    kind: str, fit: Fit, examples: list[Scored], tmp_path: Path
) -> None:
    averaging = EMAWeightAveraging(decay=0.5) if kind == "exponential" else WeightAveraging()
    weights: list[torch.Tensor] = []
    sampled: list[torch.Tensor] = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
            weights.append(flat(pl_module))

    class Watched(SampleAnswers):
        def answer(self, trainer: Trainer, module: Any, step: int | None = None) -> Any:
            sampled.append(flat(module))
            return super().answer(trainer, module, step)

    best = BestWeights(tmp_path / "checkpoints")
    model = fit(
        singles(examples), val=singles(examples[:5]), max_steps=5, enable_checkpointing=True,
        callbacks=[Ending(), averaging, Watch(), Watched(["Who?"], 2, records=0), best],
    )  # fmt: skip
    average = weights[0]
    for place, later in enumerate(weights[1:], start=1):
        share = 0.5 if kind == "exponential" else 1 / (place + 1)
        average = average + (later - average) * share
    assert (average - weights[-1]).abs().max() > 1e-5
    kept = torch.load(best.best_model_path)["state_dict"]
    names = [name for name, _ in model.named_parameters()]
    for found in (torch.cat([kept[n].flatten() for n in names]), sampled[-1], flat(model)):
        torch.testing.assert_close(found, average, rtol=0, atol=1e-6)


def flat(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten().clone() for p in module.parameters()])


def test_an_early_stop_waits_for_its_metric(
    fit: Fit, examples: list[Scored], tmp_path: Path
) -> None:
    early = EarlyStopping("val/loss", patience=1)
    model = fit(
        singles(examples),
        val=singles(examples[:5]),
        max_steps=5,
        callbacks=[Ending([early]), early],
    )
    assert model.trainer.global_step == 5


@pytest.mark.parametrize(
    ("callback", "options"),
    [
        (EarlyStopping("val_loss"), {}),
        (ModelCheckpoint(monitor="val/skill/loss"), {}),
        (EarlyStopping("samples/rep_4"), {}),
        (EarlyStopping("val/loss"), {"limit_val_batches": 0}),
    ],
    ids=["its name", "a task's name", "a logger's alone", "no validation"],
)
def test_a_monitor_of_no_metric_is_refused_before_training(
    callback: Any, options: dict[str, Any], fit: Fit, examples: list[Scored]
) -> None:
    named = rf"{type(callback).__name__} has no metric '{callback.monitor}' .* train/loss, train/lr"
    with pytest.raises(InputError, match=named) as refused:
        fit(
            singles(examples), val=singles(examples[:5]), callbacks=[Ending([callback]), callback],
            enable_checkpointing=True, **options,
        )  # fmt: skip
    assert ("val/path/bits_per_byte" in str(refused.value)) is (not options)


def test_a_callback_of_the_user_s_own_may_log_what_another_monitors(
    fit: Fit, examples: list[Scored]
) -> None:
    class Own(Callback):
        log: Any  # Lightning gives it.

        def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
            self.log("mine", 1.0)

    callbacks = [Own(), EarlyStopping("mine", check_on_train_epoch_end=True)]
    fit(singles(examples[:2]), callbacks=[Ending(callbacks), *callbacks], max_epochs=2)


def test_the_rate_is_planned_for_a_schedule_of_accumulation(
    fit: Fit, examples: list[Scored]
) -> None:
    rates: list[float] = []

    class Watch(Callback):
        def on_before_optimizer_step(self, trainer: Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    schedule = GradientAccumulationScheduler({0: 1, 1: 5, 2: 2})
    fit(
        singles(examples), max_epochs=3, callbacks=[schedule, Watch()],
        module={"lr": 2e-3, "warmup": 0.25, "final_lr": 0.5},
    )  # fmt: skip
    steps = 12 + 3 + 6
    assert rates == pytest.approx([2e-3 * lr_share(n, steps, 0.25, 0.5) for n in range(steps)])


def test_two_words_on_accumulation_are_refused() -> None:
    schedule = GradientAccumulationScheduler({0: 2})
    with pytest.raises(InputError, match="keep one of them"):
        check_callbacks([schedule], 4)
    check_callbacks([schedule], 1)


@pytest.mark.parametrize(
    "never",
    [{"update_every_n_steps": 0}, {"update_starting_at_step": 12}],
    ids=["never", "after the end"],
)
def test_an_average_that_no_step_would_enter_is_refused(
    never: dict[str, int], fit: Fit, examples: list[Scored]
) -> None:
    average = EMAWeightAveraging(**never)
    with pytest.raises(InputError, match="would average nothing in the 12 steps"):
        fit(singles(examples), callbacks=[Ending([average]), average])


def test_a_run_that_was_cut_short_says_by_what_and_how_much_was_left(
    fit: Fit, examples: list[Scored], capsys: pytest.CaptureFixture[str]
) -> None:
    ending = Ending()
    fit(
        singles(examples), callbacks=[ending, Timer({"milliseconds": 1})], max_epochs=2,
        module={"warmup": 0.5},
    )  # fmt: skip
    assert "the learning rate falls over all 24 steps" in capsys.readouterr().out
    (told,) = ending.told
    assert told == (
        "the clock (0:00:00.001000) ended training after step 1 of 24 planned: 95.8% of the "
        "learning rate's schedule was left, and the rate stood at 17% of its highest"
    )


def test_a_run_that_reached_its_end_has_nothing_to_tell(fit: Fit, examples: list[Scored]) -> None:
    ending = Ending()
    fit(singles(examples), callbacks=[ending], max_epochs=2)
    fit(singles(examples), callbacks=[ending], max_epochs=2, max_steps=5)
    assert ending.told == []


def test_a_clock_that_leaves_no_time_is_refused(fit: Fit, examples: list[Scored]) -> None:
    with pytest.raises(InputError, match="leaves no time"):
        fit(singles(examples), callbacks=[Ending(), Timer("00:00:00:00")])


FROZEN = {"matrices": lambda p: p.ndim >= 2, "vectors": lambda p: p.ndim < 2}


@pytest.mark.parametrize("which", FROZEN)
def test_a_model_that_is_frozen_in_part_trains_in_the_other(
    which: str, fit: Fit, examples: list[Scored], tiny_gpt2: Path
) -> None:
    frozen = FROZEN[which]

    class Frozen(CareerModule):
        def configure_model(self) -> None:
            super().configure_model()
            for parameter in self.parameters():
                parameter.requires_grad_(not frozen(parameter))

    model = fit(singles(examples), kind=Frozen, module={"lr": 1e-2, "weight_decay": 0.1})
    start = CareerModule(pretrained=str(tiny_gpt2))
    start.configure_model()
    pairs = zip(model.parameters(), start.parameters(), strict=True)
    moved = [(frozen(one), not torch.equal(one, other)) for one, other in pairs]
    assert not any(has_moved for is_frozen, has_moved in moved if is_frozen)
    assert all(has_moved for is_frozen, has_moved in moved if not is_frozen)
    (group,) = model.trainer.optimizers[0].param_groups
    assert group["weight_decay"] == (0.0 if which == "matrices" else 0.1)


def test_a_model_that_is_wholly_frozen_is_refused(fit: Fit, examples: list[Scored]) -> None:
    class Frozen(CareerModule):
        def configure_model(self) -> None:
            super().configure_model()
            self.requires_grad_(False)

    with pytest.raises(InputError, match="every weight of the model is frozen"):
        fit(singles(examples), kind=Frozen)
