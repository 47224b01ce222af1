"""The verb compare on the command line: model folders in, a report out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from careergpt.cli.configuration import data_parser
from careergpt.cli.parsing import OneLineParser, typed_columns, typed_options, unless_typed
from careergpt.compare.answers import by_prompt, write_answers
from careergpt.compare.compare import Options, compare, compare_scores
from careergpt.compare.comparison import BASELINE, Comparison, model_names, write_comparison
from careergpt.compare.conditions import broken, check_conditions
from careergpt.compare.figures import comparison_text
from careergpt.compare.foreign_scores import is_scores
from careergpt.compare.metrics import ANSWERS, METRICS
from careergpt.compare.report import add_to_card, card_text, report_html
from careergpt.compare.scores import write_scores
from careergpt.data.whole_files import check_writable, whole_files
from careergpt.errors import InputError, RunEndedError
from careergpt.modeling.folder import TAUGHT_DATA, read_settings, stages_of
from careergpt.modeling.loaded import device_named, find_model
from careergpt.training.logs import Wandb


def run(args: Sequence[str]) -> Comparison:
    """Parses and runs `compare`, and writes what it found.

    Raises:
        RunEndedError: A condition of the gate does not hold; the report is written.
    """
    parser = _parser()
    config = parser.parse_args(list(args))
    if config.data.tokenizer or config.data.context or config.data.models:
        raise InputError(
            "compare takes tokenizer, context and models from --baseline and --finetuned: leave "
            "them out"
        )
    # What needs no weights comes first: most mistakes show there.
    # Bytes of a path that are no text could be printed, but not written.
    command = shlex.join(["python", "main.py", "compare", *args])
    command = command.encode("utf-8", "backslashreplace").decode()
    first, *_ = finetuned = config.finetuned
    named = [config.baseline, *finetuned]
    if any(map(is_scores, named)):
        return _compare_files(config, command)
    sources = dict(zip([BASELINE, *model_names(finetuned)], map(find_model, named), strict=True))
    settings = [read_settings(folder) for folder in finetuned]
    config = _taught(parser, config, settings[0], args)
    check_conditions(config.equivalence, config.gate, METRICS, () if config.answers else ANSWERS)
    beside = Path(first).absolute().parent if Path(first).is_dir() else Path()
    out = Path(config.out) if config.out else beside / "comparison"
    check_writable(out, "--out")
    device = device_named(config.device)
    config.data.tokenizer = first
    config.data.context = min(source.context for source in sources.values())
    config.data.models = named
    made = parser.instantiate(config)
    options = Options(**{field.name: made[field.name] for field in fields(Options)})
    made.data.typed_columns = typed_columns(args)
    made.data.prepare_data()
    made.data.setup("test")
    models = {name: source.load(device) for name, source in sources.items()}
    stages = [stages_of(one) for one in settings]
    comparison = compare(models, made.data.dataset, options, command, stages)
    _tell(comparison, out)
    if config.card:
        for folder in finetuned:
            _add_to_card(comparison, Path(folder))
    return _ended(comparison, out, config)


def _compare_files(config: Any, command: str) -> Comparison:
    """The comparison of scores that are there already."""
    named = [config.baseline, *config.finetuned]
    if others := [name for name in named if not is_scores(name)]:
        raise InputError(
            f"{others[0]} is no file of scores, as the others are: compare like with like"
        )
    if config.card:
        raise InputError("--card: files of scores have no card: leave it out")
    out = Path(config.out or "comparison")
    check_writable(out, "--out")
    chosen = {name: config[name] for name in ("seed", "equivalence", "gate")}
    finetuned = dict(zip(model_names(config.finetuned), config.finetuned, strict=True))
    comparison = compare_scores(
        config.baseline, finetuned, Options(**chosen), config.lower_is_better, command
    )
    _tell(comparison, out)
    return _ended(comparison, out, config)


def _tell(comparison: Comparison, out: Path) -> None:
    """Writes the files and prints the summary."""
    try:
        _keep(comparison, out)
    finally:  # Also where a full disk refuses the files.
        said = [comparison.plain_words, "", *comparison.verdict]
        # Of models, what was left out was told before.
        notes = [] if len(comparison.scores) else [*comparison.notes, ""]
        print("\n".join(["", *said, "", comparison_text(comparison), "", *notes]))
    every = "; scores.parquet has every score" if len(comparison.scores) else ""
    print(f"The report is {out / 'report.html'}{every}.")


def _ended(comparison: Comparison, out: Path, config: Any) -> Comparison:
    """The comparison, logged; unless its gate is shut."""
    if config.wandb:
        log_comparison(Wandb(str(out), name=out.absolute().parent.name), comparison)
    if told := broken(config.gate, comparison.findings):
        raise RunEndedError(told, 1)
    return comparison


def _parser() -> OneLineParser:
    parser = data_parser("compare", skip=set())
    first = "Folder, hub name, or a file of scores."
    parser.add_argument("--baseline", type=str, required=True, help=first)
    others = "As the baseline, one or several; the first one's tasks and decoding count."
    parser.add_argument("--finetuned", type=str, nargs="+", required=True, help=others)
    lower = "Metrics in files of scores of which less is better, as brier_score,ter."
    parser.add_options({"lower_is_better": ("", lower)})
    parser.add_class_arguments(Options)
    beside = "Folder of the results; else comparison/, beside the fine-tuned model's folder."
    card = "Tell of it in the fine-tuned folders' cards, in place of an earlier comparison."
    parser.add_options({
        "device": ("auto", "auto, cpu, cuda, …"),
        "out": (None, beside),
        "card": (False, card),
        "wandb": (False, "Log the tables to W&B, too."),
    })  # fmt: skip
    return parser


def _taught(
    parser: OneLineParser, config: Any, settings: dict[str, Any], args: Sequence[str]
) -> Any:
    """The configuration with what the fine-tuned folder says, but for what was typed."""
    typed, plain = typed_options(args), config.as_dict()
    split: dict[str, Any] = dict(*stages_of(settings)[-1:])
    said = {name: value for name, value in settings.items() if name in TAUGHT_DATA}
    said |= {name: value for name, value in split.items() if name.endswith("_fraction")}
    told = {"data": unless_typed(said, plain["data"], typed.get("data", {}))}
    if "decoding" in settings:
        decoding = typed.get("decoding", {})
        told["decoding"] = unless_typed(settings["decoding"], plain["decoding"], decoding)
    return parser.parse_object(told, config)


def _keep(comparison: Comparison, out: Path) -> None:
    with whole_files(out) as partial:
        if len(comparison.scores):
            write_scores(partial / "scores.parquet", comparison.scores)
            write_answers(partial / "answers.jsonl", comparison.answers)
        write_comparison(partial / "comparison.json", comparison)
        (partial / "report.html").write_text(report_html(comparison), encoding="utf-8")


def _add_to_card(comparison: Comparison, folder: Path) -> None:
    done = add_to_card(folder, card_text(comparison))
    print(
        f"{folder / 'README.md'} tells of it."
        if done
        else f"the card of {folder} was not changed: it is no folder, or cannot be written"
    )


def log_comparison(logger: Wandb, comparison: Comparison) -> None:
    """Logs the figures and two tables, findings and answers, to W&B."""
    numbers: dict[str, float] = {}
    for found in comparison.findings:
        name = "/".join(filter(None, ("compare", found.task, found.metric.name)))
        numbers |= {f"{name}/{BASELINE}": found.baseline, f"{name}/{found.model}": found.finetuned}
    logger.log_metrics(numbers)
    rows = [
        [
            *(f.metric.label, f.task, f.n, f.baseline, f.finetuned, *f.difference, f.p_holm),
            *(f.verdict, f.model),
        ]
        for f in comparison.findings
    ]
    names = ["metric", "task", "n", "baseline", "finetuned", "difference", "low", "high", "p"]
    logger.log_table("compare/findings", columns=[*names, "verdict", "model"], data=rows)
    logger.log_table(
        "compare/answers",
        columns=["prompt", *comparison.models, "reference"],
        data=[
            [
                by_model[BASELINE]["prompt"],
                *(by_model[model]["text"] for model in comparison.models),
                by_model[BASELINE]["reference"],
            ]
            for by_model in by_prompt(comparison.answers)
        ],
    )
    logger.finalize("success")
