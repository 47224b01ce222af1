"""A table twice: with its titles, and with them shuffled among the descriptions.

    python benchmarks/shuffled_titles.py --source postings.csv.gz --out FOLDER [--vocabulary 8192]

A model that trained on FOLDER/shuffled.jsonl knows the language of the postings and not what their
titles mean; one that trained on FOLDER/true.jsonl may know both: `main.py compare` tells.
Titles change places within each split, so the unseen records of both tables are the same.
FOLDER/tokenizer is a byte-level BPE of the training descriptions.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from careergpt.data.datamodule import CareerDataModule
from careergpt.data.prepare import rows_of
from careergpt.data.records import fields_of_row
from careergpt.data.splits import TRAIN, split_by_hash
from careergpt.data.tasks import Field

TITLE, DESCRIPTION = "position_title", "job_description"
END = "<|endoftext|>"


def shuffled(titles: Sequence[str], split: np.ndarray, seed: int) -> list[str]:
    """The titles, each at another place of its own split."""
    given = np.array(titles, dtype=object)
    for number in np.unique(split):
        places = np.flatnonzero(split == number)
        order = np.random.default_rng([seed, int(number)]).permutation(places)
        # A cycle through all places leaves no title where it was.
        given[np.roll(order, 1)] = np.array(titles, dtype=object)[order]
    return [str(title) for title in given]


def train_tokenizer(texts: Iterable[str], vocabulary: int, folder: Path) -> None:
    """A byte-level BPE with an end-of-text token, as GPT-2's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=END, eos_token=END, unk_token=END
    ).save_pretrained(folder)


def write_records(path: Path, records: Iterable[Mapping[str, Field]]) -> None:
    """A JSON Lines table."""
    with path.open("w", encoding="utf-8") as file:
        for fields in records:
            file.write(json.dumps(dict(fields), ensure_ascii=False) + "\n")


def main() -> None:
    """Writes both tables and the tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--vocabulary", type=int, default=8192)
    args = parser.parse_args()
    data = CareerDataModule(source=args.source).open()
    print(data.report())
    records = [fields_of_row(row) for row in rows_of(data.table)]
    split = split_by_hash(data.table["hash"].to_numpy(), 0.1, 0.1)
    both = np.array([TITLE in fields and DESCRIPTION in fields for fields in records])
    records = [fields for fields, kept in zip(records, both, strict=True) if kept]
    titles = shuffled([str(fields[TITLE]) for fields in records], split[both], seed=0)
    args.out.mkdir(parents=True, exist_ok=True)
    write_records(args.out / "true.jsonl", records)
    pairs = zip(records, titles, strict=True)
    write_records(args.out / "shuffled.jsonl", ({**f, TITLE: title} for f, title in pairs))
    training = zip(records, split[both], strict=True)
    texts = (f"{f[TITLE]}\n{f[DESCRIPTION]}" for f, part in training if part == TRAIN)
    train_tokenizer(texts, args.vocabulary, args.out / "tokenizer")
    print(f"{len(records):,} records are in {args.out}/true.jsonl and {args.out}/shuffled.jsonl")


if __name__ == "__main__":
    main()
