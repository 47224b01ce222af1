"""The verb compare on the command line: two folders in, a report out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from careergpt.cli.parsing import OneLineParser, data_parser
from careergpt.cli.typed import typed_options, unless_typed
from careergpt.compare.compare import compare
from careergpt.compare.comparison import Comparison
from careergpt.compare.contenders import device_named, load_contender
from careergpt.compare.effort import Effort
from careergpt.compare.report.page import write_report
from careergpt.compare.results import write_answers, write_comparison, write_scores
from careergpt.compare.scoring import Scored
from careergpt.compare.summary import add_to_card, summary
from careergpt.data.settings import writable
from careergpt.errors import InputError
from careergpt.modeling.folder import read_settings
from careergpt.training.logs import Wandb
from careergpt.training.words import findings_text


def run_compare(args: Sequence[str]) -> None:
    """Parses and runs `compare`, and writes what it found."""
    parser = _parser()
    config = _taught(parser, parser.parse_args(list(args)), args)
    if config.data.tokenizer or config.data.context:
        raise InputError("compare takes tokenizer and context from the models: leave them out")
    beside = Path(config.finetuned).parent if Path(config.finetuned).is_dir() else Path()
    out = writable(Path(config.out or beside / "comparison"), "--out")
    device = device_named(config.device)
    baseline, finetuned = (load_contender(n, device) for n in (config.baseline, config.finetuned))
    config.data.tokenizer = config.finetuned
    config.data.context = min(baseline.context, finetuned.context)
    made = parser.instantiate_classes(config)
    effort = Effort(**{field.name: made[field.name] for field in fields(Effort)})
    command = shlex.join(["python", "main.py", "compare", *args])
    comparison, scored = compare((baseline, finetuned), made.data, effort, command)
    _keep(comparison, scored, out)
    _tell(comparison, out, add_to_card(Path(config.finetuned), summary(comparison)))
    if config.wandb:
        log_comparison(Wandb(str(out), name=out.absolute().parent.name), comparison)


def _parser() -> OneLineParser:
    parser = data_parser("compare", "Compare two models on the same unseen records.", skip=set())
    parser.add_argument("--baseline", type=str, required=True, help="Folder or hub name.")
    parser.add_argument("--finetuned", type=str, required=True, help="Folder or hub name.")
    parser.add_class_arguments(Effort)
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, …")
    parser.add_argument(
        "--out",
        type=str | None,
        help="Folder of the results. Null: comparison/, beside the fine-tuned model's folder.",
    )
    parser.add_argument("--wandb", type=bool, default=False, help="Log the tables to W&B, too.")
    return parser


def _taught(parser: OneLineParser, config: Any, args: Sequence[str]) -> Any:
    """The configuration with what the fine-tuned folder says, but for what was typed."""
    settings, typed = read_settings(config.finetuned), typed_options(args)
    plain = config.as_dict()
    told: dict[str, Any] = {"data": {}}
    for name in {"tasks", "separators"} & settings.keys():
        said = typed.get("data", {}).get(name, {})
        told["data"][name] = unless_typed(settings[name], plain["data"][name], said)
    if "decoding" in settings:
        said = typed.get("decoding", {})
        told["decoding"] = unless_typed(settings["decoding"], plain["decoding"], said)
    return parser.parse_object(told, config)


def _keep(comparison: Comparison, scored: Scored, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    parts = [(scored.cases, scored.scores)]
    if scored.swaps:
        parts.append((scored.swaps.other, scored.swaps.scores))
    write_scores(out / "scores.parquet", parts)
    write_answers(out / "answers.jsonl", comparison.answers)
    write_comparison(out / "comparison.json", comparison)
    write_report(comparison, out / "report.html")


def _tell(comparison: Comparison, out: Path, in_card: bool) -> None:
    """Prints the verdict, the table and where the rest is."""
    print("\n".join(["", *comparison.verdict, "", findings_text(comparison), ""]))
    print(f"The report is {out / 'report.html'}; scores.parquet has every score.")
    if in_card:
        print("The fine-tuned model's card tells of it.")


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
    pairs = comparison.shown_answers + comparison.answers
    logger.log_table(
        "compare/answers",
        columns=["prompt", "baseline", "finetuned", "reference"],
        data=[[p.prompt, p.baseline.text, p.finetuned.text, p.reference] for p in pairs],
    )
    logger.finalize("success")
