"""How fast are 1,000 positions ranked? Over a trie, beside batches that read the prompt each time.

    python benchmarks/candidates.py [--quick] [--device cuda] [--json FILE]

GPT-2 124 M of random weights, fp32, one prompt of some 30 tokens and one of some 100.
The titles are those of data/positions.yaml with their variants, with and without a rank before
them ("Senior registered nurse"). Titles and prompts are tokenized by data/tokenizer, the model's
vocabulary is GPT-2's: with GPT-2's own tokenizer titles would be shorter, and the prompt weigh more
beside them. Each way scores every title, followed by the end of text, to the same nats; the time
to build the trie is in ours. Ways take turns; freed memory is kept for all of them alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from machine import describe, sentence
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from careergpt.compare.scores import completion_nats
from careergpt.data.prompts import Question, ready_prompts
from careergpt.data.tasks import Task, render_prompt
from careergpt.data.tokens import Example, encode_texts, load_tokenizer
from careergpt.data.whole_files import write_json
from careergpt.generation.candidates import Trie, score_candidates
from careergpt.modeling.folder import build_model
from careergpt.modeling.loaded import keep_freed_memory

DATA = Path(__file__).parents[1] / "data"
RANKS = "Junior Senior Lead Principal Assistant Deputy Regional Chief Temporary".split()
TASK = Task("Which position suits someone skilled in {skills}?", "{position_title}")
TITLES, BATCH = 1000, 32
LENGTHS = (30, 100)
OURS = "careergpt, over a trie"

Ids = Sequence[int]


class Row(NamedTuple):
    """A way to score after a prompt of so many tokens: its seconds in each round, and our ratio."""

    name: str
    prompt_tokens: int
    seconds: list[float]
    ratio: float


def knowledge() -> tuple[list[str], list[str]]:
    """The sample's titles with their variants, and its skills, each once."""
    fields = yaml.safe_load((DATA / "positions.yaml").read_text(encoding="utf-8")).values()
    positions = [item for field in fields for item in field["positions"].items()]
    titles = [title for name, about in positions for title in (name, *about["variants"])]
    skills = [skill for _, about in positions for skill in about["skills"]]
    return list(dict.fromkeys(titles)), list(dict.fromkeys(skills))


def draw_titles(number: int) -> list[str]:
    """So many of the sample's titles, with and without a rank before them."""
    plain, _ = knowledge()
    ranked = [f"{rank} {title[0].lower()}{title[1:]}" for rank in RANKS for title in plain]
    every = np.array(list(dict.fromkeys([*plain, *ranked])))
    return np.random.default_rng(0).permutation(every)[:number].tolist()


def prompt_of(tokens: int, tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The question of as many skills as make it so long, or a little longer."""
    _, skills = knowledge()
    # Every seventh: the first ones are all of one position.
    questions = (
        Question("", render_prompt(TASK, {"skills": tuple(skills[: 7 * asked : 7])}))
        for asked in range(1, len(skills) // 7)
    )
    prompts = (ready_prompts([question], tokenizer)[0].token_ids for question in questions)
    return list(next(ids for ids in prompts if len(ids) >= tokens))


def models(config: GPT2Config, device: str = "cpu") -> tuple[PreTrainedModel, PreTrainedModel]:
    """Transformers' model as it comes, and ours with the same weights."""
    torch.manual_seed(0)
    theirs = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    ours = build_model(deepcopy(config), None)
    ours.load_state_dict(theirs.state_dict())
    return theirs.eval().to(device), ours.eval().to(device)


def over_a_trie(model: PreTrainedModel, prompt: Ids, titles: Sequence[Ids], end: int) -> np.ndarray:
    """Ours, from the titles' token ids on."""
    return score_candidates(model, [prompt], Trie(titles, [[end]]))[0]


def packed(model: PreTrainedModel, prompt: Ids, titles: Sequence[Ids], end: int) -> np.ndarray:
    """Prompt and title packed into rows, the head on the titles alone."""
    examples = [Example([*prompt, *ids, end], len(prompt), 0, 0, []) for ids in titles]
    return -completion_nats(model, examples)


@torch.no_grad()
def padded(model: PreTrainedModel, prompt: Ids, titles: Sequence[Ids], end: int) -> np.ndarray:
    """Prompt and title in batches of 32, padded, with labels: what one writes first."""
    texts = [torch.tensor([*prompt, *ids, end]) for ids in titles]
    found = []
    for start in range(0, len(texts), BATCH):
        some = texts[start : start + BATCH]
        ids = torch.nn.utils.rnn.pad_sequence(some, batch_first=True).to(model.device)
        lengths = torch.tensor([len(text) for text in some], device=model.device)[:, None]
        mask = torch.arange(ids.shape[1], device=model.device) < lengths
        labels = ids.masked_fill(~mask, -100)
        labels[:, : len(prompt)] = -100
        labels = F.pad(labels[:, 1:], (0, 1), value=-100)  # Each foretold by the one before it.
        logits = model(ids, attention_mask=mask.long(), use_cache=False).logits
        nats = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        found.append(-nats.view(labels.shape).sum(1).double())
    return torch.cat(found).cpu().numpy()


def take_turns(
    ways: dict[str, Callable[[], np.ndarray]], rounds: int
) -> Iterator[tuple[str, float, np.ndarray]]:
    """Each way in each round: its seconds and scores."""
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            scores = way()
            yield name, time.perf_counter() - started, scores


def compare(
    theirs: PreTrainedModel,
    ours: PreTrainedModel,
    prompt: Ids,
    titles: Sequence[Ids],
    rounds: int,
    end: int,
) -> list[Row]:
    """The three ways, ours first; the ratio is that of the medians."""
    ways = {
        OURS: lambda: over_a_trie(ours, prompt, titles, end),
        "careergpt, packed, with the prompt each time": lambda: packed(ours, prompt, titles, end),
        f"transformers, padded batches of {BATCH}": lambda: padded(theirs, prompt, titles, end),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, np.ndarray] = {}
    for name, took, found[name] in take_turns(ways, rounds):
        seconds[name].append(took)
        print(f"prompt of {len(prompt)} tokens, {name}: {took:.1f} s", flush=True)
    for name, scores in found.items():
        if np.abs(scores - found[OURS]).max() > 1e-3:
            raise SystemExit(f"{name}: other scores than ours")
    fastest = statistics.median(seconds[OURS])
    return [
        Row(name, len(prompt), took, statistics.median(took) / fastest)
        for name, took in seconds.items()
    ]


def main() -> None:
    """Measures, checks that the scores are equal, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1 round in place of 3")
    parser.add_argument("--tiny", action="store_true", help="a model of 2 layers: tries the script")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", default=None)
    args = parser.parse_args()
    keep_freed_memory()
    tokenizer = load_tokenizer(str(DATA / "tokenizer"))
    drawn = draw_titles(50 if args.tiny else TITLES)
    titles = encode_texts(tokenizer, [f" {title}" for title in drawn])
    sizes = {"n_layer": 2, "n_head": 2, "n_embd": 32} if args.tiny else {}
    theirs, ours = models(GPT2Config(**sizes), args.device)
    rounds, end, rows = 1 if args.quick else 3, tokenizer.eos_token_id, []
    for tokens in LENGTHS:
        prompt = prompt_of(tokens, tokenizer)
        compare(theirs, ours, prompt, titles[:BATCH], 1, end)  # What is first is slower.
        rows += compare(theirs, ours, prompt, titles, rounds, end)
    trie, each = Trie(titles, [[end]]), sum(map(len, titles)) / len(titles)
    print(
        f"\n{len(titles)} titles of {each:.1f} tokens, {len(trie.inner)} inner nodes; "
        f"GPT-2 of {theirs.num_parameters() / 1e6:.0f} M, fp32, {args.device}, "
        f"{torch.get_num_threads()} threads, rounds: {rounds}; {sentence()}\n"
    )
    print("| prompt | | seconds | fastest to slowest | ours is |\n|---:|---|---:|---:|---:|")
    for name, n, took, ratio in rows:
        middle = statistics.median(took)
        print(
            f"| {n} | {name} | {middle:.1f} | {min(took):.1f} to {max(took):.1f} | {ratio:.1f} x |"
        )
    if args.json:
        found = [row._asdict() for row in rows]
        counts = {"titles": len(titles), "tokens": each, "inner_nodes": len(trie.inner)}
        write_json(Path(args.json), {"rows": found, **counts, "machine": describe()})


if __name__ == "__main__":
    main()
