"""The verb compare on the command line: two folders in, a report out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from careergpt.cli.parsing import (
    OneLineParser,
    data_parser,
    typed_columns,
    typed_options,
    unless_typed,
)
from careergpt.compare.answers import by_prompt, write_answers
from careergpt.compare.compare import Options, compare
from careergpt.compare.comparison import Comparison, write_comparison
from careergpt.compare.report import add_to_card, card_text, report_html
from careergpt.compare.scores import write_scores
from careergpt.compare.wording import findings_text
from careergpt.data.whole_files import check_writable, whole_files
from careergpt.errors import InputError
from careergpt.modeling.folder import read_settings, stages_of
from careergpt.modeling.loaded import device_named, find_model
from careergpt.training.logs import Wandb


def run(args: Sequence[str]) -> Comparison:
    """Parses and runs `compare`, and writes what it found."""
    parser = _parser()
    config = parser.parse_args(list(args))
    if config.data.tokenizer or config.data.context or config.data.models:
        raise InputError(
            "compare takes tokenizer, context and models from --baseline and --finetuned: leave "
            "them out"
        )
    # What needs no weights comes first: most mistakes show there.
    sources = find_model(config.baseline), find_model(config.finetuned)
    settings = read_settings(config.finetuned)
    config = _taught(parser, config, settings, args)
    beside = Path(config.finetuned).absolute().parent if Path(config.finetuned).is_dir() else Path()
    out = Path(config.out) if config.out else beside / "comparison"
    check_writable(out, "--out")
    device = device_named(config.device)
    config.data.tokenizer = config.finetuned
    config.data.context = min(source.context for source in sources)
    config.data.models = [config.baseline, config.finetuned]
    made = parser.instantiate(config)
    options = Options(**{field.name: made[field.name] for field in fields(Options)})
    made.data.typed_columns = typed_columns(args)
    made.data.prepare_data()
    made.data.setup("test")
    # Bytes of a path that are no text could be printed, but not written.
    command = shlex.join(["python", "main.py", "compare", *args])
    command = command.encode("utf-8", "backslashreplace").decode()
    baseline, finetuned = (source.load(device) for source in sources)
    comparison = compare(
        baseline, finetuned, made.data.dataset, options, command, stages_of(settings)
    )
    try:
        _keep(comparison, out)
    finally:  # Also where a full disk refuses the files.
        said = [comparison.plain_words, "", *comparison.verdict]
        print("\n".join(["", *said, "", findings_text(comparison.findings), ""]))
    print(f"The report is {out / 'report.html'}; scores.parquet has every score.")
    if config.card:
        _add_to_card(comparison, Path(config.finetuned))
    if config.wandb:
        log_comparison(Wandb(str(out), name=out.absolute().parent.name), comparison)
    return comparison


def _parser() -> OneLineParser:
    parser = data_parser("compare", "Compare two models on the same unseen records.", skip=set())
    parser.add_argument("--baseline", type=str, required=True, help="Folder or hub name.")
    parser.add_argument("--finetuned", type=str, required=True, help="Folder or hub name.")
    parser.add_class_arguments(Options)
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, …")
    parser.add_argument(
        "--out",
        type=str | None,
        help="Folder of the results. Null: comparison/, beside the fine-tuned model's folder.",
    )
    parser.add_argument(
        "--card",
        type=bool,
        default=False,
        help="Tell of it in the fine-tuned folder's model card, in place of an earlier comparison.",
    )
    parser.add_argument("--wandb", type=bool, default=False, help="Log the tables to W&B, too.")
    return parser


def _taught(
    parser: OneLineParser, config: Any, settings: dict[str, Any], args: Sequence[str]
) -> Any:
    """The configuration with what the fine-tuned folder says, but for what was typed."""
    typed, plain = typed_options(args), config.as_dict()
    split: dict[str, Any] = dict(*stages_of(settings)[-1:])
    said = {name: value for name, value in settings.items() if name in ("tasks", "separators")}
    said |= {name: value for name, value in split.items() if name.endswith("_fraction")}
    told = {"data": unless_typed(said, plain["data"], typed.get("data", {}))}
    if "decoding" in settings:
        decoding = typed.get("decoding", {})
        told["decoding"] = unless_typed(settings["decoding"], plain["decoding"], decoding)
    return parser.parse_object(told, config)


def _keep(comparison: Comparison, out: Path) -> None:
    with whole_files(out) as partial:
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
        numbers |= {f"{name}/baseline": found.baseline, f"{name}/finetuned": found.finetuned}
    logger.log_metrics(numbers)
    rows = [
        [f.metric.label, f.task, f.n, f.baseline, f.finetuned, *f.difference, f.p_holm, f.verdict]
        for f in comparison.findings
    ]
    names = ["metric", "task", "n", "baseline", "finetuned", "difference", "low", "high", "p"]
    logger.log_table("compare/findings", columns=[*names, "verdict"], data=rows)
    logger.log_table(
        "compare/answers",
        columns=["prompt", "baseline", "finetuned", "reference"],
        data=[
            [row["prompt"], row["text"], other["text"], row["reference"]]
            for row, other in (by_model.values() for by_model in by_prompt(comparison.answers))
        ],
    )
    logger.finalize("success")
