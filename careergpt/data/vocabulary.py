"""A tokenizer of GPT-2's kind, trained on the training split."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from careergpt.data.store import write_json
from careergpt.data.whole_files import whole
from careergpt.errors import InputError

END_OF_TEXT = "<|endoftext|>"

SMALLEST = 257
"""All bytes, so that no text is unknown, and the end of text."""


def train_tokenizer(texts: Iterable[str], size: int, folder: Path) -> None:
    """Writes a byte-level BPE of at most so many tokens (Sennrich et al., 2016).

    The same texts in the same order give the same tokens.

    Args:
        texts: What it is trained on.
        size: Entries, at most: few texts have fewer pairs to merge.
        folder: Where to write; made if it is missing.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if size < SMALLEST:
        raise InputError(f"model.scratch.vocabulary must be {SMALLEST} or more, found {size}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    with whole(folder / "tokenizer.json") as partial:
        tokenizer.save(str(partial))
    # What transformers needs beside it, in the form that its versions 4 and 5 both read.
    special = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
        | special,
    )
