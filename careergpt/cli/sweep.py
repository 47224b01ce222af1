"""The verb sweep on the command line: a file of W&B's form in, trials, the best and a page out."""

from __future__ import annotations

import html
import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from careergpt.cli.parsing import OneLineParser
from careergpt.data.whole_files import check_writable, whole
from careergpt.errors import InputError, RunEndedError, extra

if TYPE_CHECKING:
    from optuna import Study

    from careergpt.training.sweep_plan import Plan
    from careergpt.training.sweeps import Sweep


def run(args: Sequence[str]) -> None:
    """Parses and runs `sweep`, and tells what it found."""
    config = _parser().parse_args(list(args))
    with extra("sweep", "sweep"):
        import plotly  # noqa: F401

        from careergpt.training.sweep_plan import read_plan
        from careergpt.training.sweeps import Sweep
    for name, least in (("trials", 1), ("workers", 1), ("confirm", 0)):
        if config[name] < least:
            raise InputError(f"--{name} must be {least} or more, found {config[name]}")
    plan = read_plan(config.config)
    out = Path(config.out or Path("runs") / Path(config.config).stem)
    check_writable(out, "--out")
    _check_options(plan)
    sweep = Sweep(plan, out, config.trials, config.seed, config.storage)
    sweep.run(config.workers)
    if not sweep.completed():
        raise RunEndedError(f"no trial has come to its end: {out / 'trials'} holds their logs", 1)
    print(trials_text(sweep.study, plan))
    with whole(out / "best.yaml") as partial:
        partial.write_text(yaml.safe_dump(_nested(sweep.study.best_params), sort_keys=False))
    with whole(out / "report.html") as partial:
        partial.write_text(report_html(sweep.study, plan), encoding="utf-8")
    print(
        f"The best is trial {sweep.study.best_trial.number} ({out / 'best.yaml'}, to lay over the "
        f"configuration by another --config); the report is {out / 'report.html'}."
    )
    if config.confirm:
        print("\n".join(confirmed(sweep, config.confirm, config.workers)))


def _parser() -> OneLineParser:
    parser = OneLineParser(verb="sweep")
    parser.add_argument("-c", "--config", type=str, required=True, help="A sweep's file of W&B.")
    again = "Seeds over which the best is compared with the configuration as it stands."
    parser.add_options({
        "trials": (20, "How many there are to be."),
        "workers": (1, "How many train at a time, here."),
        "seed": (0, "Of the draws."),
        "confirm": (0, again),
        "out": (None, "Folder of the trials; else runs/<name of the file>."),
        "storage": (None, "A database's URL for the study; else a file in --out."),
    })  # fmt: skip
    return parser


def _check_options(plan: Plan) -> None:
    """Lets the command line itself read the extremes of all draws, before anything starts.

    Raises:
        InputError: An option is unknown, or cannot have a value.
    """
    if "main.py" not in plan.command:
        return  # Another program's options.
    from careergpt.cli.trainer import run as run_verb

    for values in plan.corners():
        words = plan.words(values)
        verb, *options = words[words.index("main.py") + 1 :]
        with redirect_stdout(io.StringIO()), suppress(SystemExit):
            run_verb(verb, [*options, "--print_config"])


def trials_text(study: Study, plan: Plan) -> str:
    """A table of all trials, the best first."""
    trials = sorted(
        study.get_trials(),
        key=lambda one: (
            one.value is None,
            (one.value or 0) * (1 if plan.goal == "minimize" else -1),
        ),
    )
    names = _varied(plan)
    rows = [["trial", plan.metric, *names]]
    for one in trials:
        value = one.state.name.lower() if one.value is None else f"{one.value:.4f}"
        told = [one.params.get(name, "") for name in names]
        shown = [f"{v:.4g}" if isinstance(v, float) else str(v) for v in told]
        rows.append([str(one.number), value, *shown])
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, wide, strict=True)) for row in rows
    )


def _varied(plan: Plan) -> list[str]:
    return [name for name, one in plan.space.items() if not one.single()]


def _nested(values: dict[str, Any]) -> dict[str, Any]:
    """Dotted names as a configuration file has them."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *groups, last = name.split(".")
        inside = nested
        for group in groups:
            inside = inside.setdefault(group, {})
        inside[last] = value
    return nested


def report_html(study: Study, plan: Plan) -> str:
    """A page with the trials' course, the parameters' importance, and parallel coordinates."""
    from optuna import visualization

    figures, names = [visualization.plot_optimization_history(study)], _varied(plan)
    if len(names) > 1:
        figures.append(visualization.plot_parallel_coordinate(study, names))
    # Of trials that are too few, or all alike, there is none.
    with suppress(ValueError, RuntimeError), warnings.catch_warnings(action="ignore"):
        figures.append(visualization.plot_param_importances(study, params=names))
    drawn = "".join(
        figure.to_html(full_html=False, include_plotlyjs=place == 0)
        for place, figure in enumerate(figures)
    )
    title = html.escape(f"{study.study_name}: {plan.metric}, {plan.goal}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<h1>{title}</h1><pre>{html.escape(trials_text(study, plan))}</pre>{drawn}</html>"
    )


def confirmed(sweep: Sweep, seeds: int, workers: int) -> Iterator[str]:
    """Compares the best with the configuration as it stands, a pair for each seed, in a line each.

    The runs are those of two grids, of seeds alone, so that they survive what a sweep's do.

    Raises:
        RunEndedError: A signal came, or a run did not come to its end.
    """
    from optuna.distributions import CategoricalDistribution as Choice

    from careergpt.cli.compare import run as compare
    from careergpt.training.sweeps import Sweep

    folder, places = sweep.folder / "confirm", [*range(seeds)]
    best_name = f"best-{sweep.study.best_trial.number}"
    for name, values in (("start", {}), (best_name, sweep.study.best_params)):
        space = {**{k: Choice([v]) for k, v in values.items()}, "seed_everything": Choice(places)}
        plan = replace(sweep.plan, method="grid", space=space, least=None)
        grid = Sweep(plan, folder / name, seeds)
        grid.run(workers)
        if grid.completed() < seeds:
            raise RunEndedError(f"a run did not come to its end: see {grid.folder / 'trials'}", 1)
    better = 0
    for seed in places:
        start, best = (folder / name / "trials" / f"{seed:04}" for name in ("start", best_name))
        words = [f"--config={start / 'config.yaml'}", "--answers=0"]
        pair = [f"--baseline={start / 'model'}", f"--finetuned={best / 'model'}"]
        with redirect_stdout(io.StringIO()):
            found = compare(
                [*words, *pair, f"--out={best.parent / f'{seed:04}'}-compared"]
            ).findings[0]
        better += found.verdict == "better"
        estimate, low, high = found.difference
        yield (
            f"seed {seed}: {found.metric.label} {found.baseline:.4f} as it stands, "
            f"{found.finetuned:.4f} of the best; {estimate:+.4f} ({low:+.4f} to {high:+.4f}, "
            f"p {found.p_holm:.3f}): {found.verdict}"
        )
    yield f"The best is better than the configuration as it stands with {better} of {seeds} seeds."
