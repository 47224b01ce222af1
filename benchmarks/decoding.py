"""Which decoding settings write most like people, and of the position that was asked for?

    python benchmarks/decoding.py --model FOLDER --source TABLE --prompt-form newline --json FILE

For each setting the model, fine-tuned or as it was fetched, answers the prompts of unseen records.
rep-4 (share of repeated 4-grams within a text), distinct-2 (distinct bigrams over all bigrams of
all texts), length, the share of answers that end by themselves and relevance (MRR of the title
among unseen descriptions) are set beside the same numbers of the real descriptions; the nearest
setting is the one whose numbers differ least, each in units of the real ones.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch

from careergpt.compare.answers import draw_prompts
from careergpt.compare.relevance import DescriptionIndex
from careergpt.compare.unseen import title_task, unseen
from careergpt.data.datamodule import CareerDataModule
from careergpt.data.prompts import Question, ready_prompts
from careergpt.data.tokens import encode_texts
from careergpt.data.whole_files import write_json
from careergpt.generation.decoding import distinct, generate, repetition
from careergpt.generation.sampling import Decoding
from careergpt.modeling.folder import read_settings
from careergpt.modeling.loaded import find_model
from careergpt.recommend.rankings import tasks_of


class Measures(NamedTuple):
    """How a set of texts repeats itself, varies, ends, and tells its positions apart."""

    rep_4: float
    distinct_2: float
    tokens: float
    ended: float
    mrr: float


def measure(texts: Sequence[Sequence[int]], ended: float, mrr: float) -> Measures:
    """The measures of texts as token ids."""
    return Measures(
        sum(map(repetition, texts)) / len(texts),
        distinct(texts, 2),
        sum(map(len, texts)) / len(texts),
        ended,
        mrr,
    )


def distance(found: Measures, real: Measures) -> float:
    """Mean relative difference; repetition, which is near 0 in real texts, counts as it is.

    Relevance beyond that of real texts is no fault.
    """
    parts = [
        abs(found.rep_4 - real.rep_4),
        abs(found.distinct_2 / real.distinct_2 - 1),
        abs(found.tokens / real.tokens - 1),
        abs(found.ended - real.ended),
        max(1 - found.mrr / real.mrr, 0) if real.mrr else 0,
    ]
    return sum(parts) / len(parts)


def settings(most: int) -> list[Decoding]:
    """Greedy search, and sampling over a grid."""
    grid = itertools.product((0.6, 0.7, 0.8, 0.9, 1.0), (0.9, 0.95, 1.0), (1.0, 1.05, 1.1))
    return [Decoding(max_new_tokens=most, greedy=True)] + [
        Decoding(max_new_tokens=most, temperature=heat, top_p=mass, repetition_penalty=penalty)
        for heat, mass, penalty in grid
    ]


def name_of(decoding: Decoding) -> str:
    """What the table calls a setting."""
    if decoding.greedy:
        return "greedy"
    penalty = decoding.repetition_penalty
    return f"temperature {decoding.temperature}, top-p {decoding.top_p}, penalty {penalty}"


def main() -> None:
    """Measures every setting and prints the table, nearest first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--records", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=320)
    parser.add_argument("--prompt-form", default=None, help="Null: the folder's; plain.")
    parser.add_argument("--json", default=None)
    args = parser.parse_args()
    model = find_model(args.model).load(torch.device("cpu"))
    told = read_settings(args.model)
    data = CareerDataModule(
        args.source,
        tasks=tasks_of(told),
        prompt_form=args.prompt_form or model.form,
        tokenizer=args.model,
        context=model.context,
    ).open()
    asked = title_task(data.tasks)
    if asked is None:
        raise SystemExit(f"{args.model}: no task asks by the title")
    every = unseen(data, asked[0])
    records = draw_prompts(every, args.records, seed=0)
    questions = [Question(one.record, one.pair.prompt) for one in records]
    prompts = ready_prompts(questions, model.tokenizer, data.form)
    texts = encode_texts(model.tokenizer, [one.completion for one in records])
    most = min(args.max_new_tokens, model.context - max(len(p.token_ids) for p in prompts))
    descriptions = DescriptionIndex(
        [one.completion for one in every],
        [one.title for one in every],
        [one.group for one in every],
    )

    def relevance(answers: Sequence[str]) -> float:
        ranks = descriptions.ranks(
            answers, [one.title for one in records], [[one.group] for one in records]
        )
        return fmean([1 / rank for rank in ranks if rank is not None] or [0.0])

    real = [ids[:most] for ids in texts]
    ends = fmean(len(ids) < most for ids in texts)
    shown = [str(text) for text in model.tokenizer.batch_decode(real)]
    rows = {"real descriptions": measure(real, ends, relevance(shown))}
    for decoding in settings(most):
        answers = [
            answer
            for at in range(0, len(prompts), 16)
            for answer in generate(
                model.model, model.tokenizer, prompts[at : at + 16], decoding, model.context
            )
        ]
        ended = fmean(answer.finish_reason == "end" for answer in answers)
        rows[name_of(decoding)] = measure(
            [answer.token_ids for answer in answers], ended, relevance([a.text for a in answers])
        )
    reference = rows["real descriptions"]
    ordered = sorted(rows, key=lambda name: distance(rows[name], reference))
    print(f"{len(prompts)} prompts, at most {most} tokens")
    print(
        "| decoding | rep-4 | distinct-2 | tokens | ended | MRR | distance |\n"
        "|---|---|---|---|---|---|---|"
    )
    for name in ordered:
        row = rows[name]
        print(
            f"| {name} | {row.rep_4:.3f} | {row.distinct_2:.3f} | {row.tokens:.0f} "
            f"| {row.ended:.2f} | {row.mrr:.3f} | {distance(row, reference):.3f} |"
        )
    if args.json:
        write_json(Path(args.json), {name: rows[name]._asdict() for name in ordered})


if __name__ == "__main__":
    main()
