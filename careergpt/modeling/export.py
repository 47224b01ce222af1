"""Exports: a model in the form that another runtime reads, and that runtime, to try it in."""

from __future__ import annotations

import logging
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from careergpt.data.tokens import load_tokenizer
from careergpt.errors import InputError
from careergpt.modeling.attention import library_attention
from careergpt.modeling.folder import CARD, write_pretrained
from careergpt.modeling.gguf import read_gguf
from careergpt.modeling.loaded import LoadedModel

_ONNX, _GGUF = "model.onnx", "model.gguf"

_CONVERTER = "convert_hf_to_gguf.py"
"""Of llama.cpp, which alone knows how every family is laid out there."""

Logits = Callable[[Sequence[int]], Tensor]
"""Of what follows each of the token ids (T,): (T, V)."""

Answer = Callable[[Sequence[int], int], list[int]]
"""What follows a prompt's ids greedily, so many at most, up to and with the end of text."""


class Runtime(NamedTuple):
    """An exported model, and its tokenizer, in what they were exported for.

    Attributes:
        tokenizer: The tokenizer.
        logits: Of what follows each token.
        answer: The runtime's own decoder; None: it has none.
    """

    tokenizer: PreTrainedTokenizerFast
    logits: Logits
    answer: Answer | None = None


class Format(NamedTuple):
    """How a model is written into a folder, and loaded from there by its own runtime.

    Attributes:
        packages: What both import.
        write: Writes it.
        load: Loads what was written of the model.
    """

    packages: tuple[str, ...]
    write: Callable[[LoadedModel, Path], None]
    load: Callable[[LoadedModel, Path], Runtime]


def logits_of(model: PreTrainedModel) -> Logits:
    """What the model itself foretells."""

    @torch.no_grad()
    def logits(ids: Sequence[int]) -> Tensor:
        with library_attention(model):
            found: Tensor = model(torch.tensor([ids]), use_cache=False).logits[0]
        return found

    return logits


def _write_hf(model: LoadedModel, partial: Path) -> None:
    """Transformers' own files, adapters merged, with decoding's defaults and the card."""
    config = model.model.config
    if config.model_type == "gpt2":
        config.n_ctx = model.context  # As in OpenAI's own file; llama.cpp reads it.
    model.model.generation_config.eos_token_id = model.tokenizer.eos_token_id
    write_pretrained(model.model, model.tokenizer, partial)
    for name in ("generation_config.json", CARD):
        if (path := Path(model.source) / name).is_file():
            shutil.copyfile(path, partial / name)


def _load_hf(_: LoadedModel, folder: Path) -> Runtime:
    loader: Any = AutoModelForCausalLM
    model = loader.from_pretrained(folder, trust_remote_code=False).eval()
    end = model.generation_config.eos_token_id
    model.generation_config = GenerationConfig()  # Its defaults are to draw, say: not greedy.

    def answer(prompt: Sequence[int], most: int) -> list[int]:
        ids = torch.tensor([prompt])
        greedy = GenerationConfig(max_new_tokens=most, eos_token_id=end, pad_token_id=end)
        written = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=greedy)
        return [int(id) for id in written[0, len(prompt) :]]

    return Runtime(load_tokenizer(str(folder)), logits_of(model), answer)


def _write_ctranslate2(model: LoadedModel, partial: Path) -> None:
    from ctranslate2.converters import TransformersConverter

    with _plain(model, partial) as plain:
        TransformersConverter(str(plain)).convert(str(plain / "converted"))
        for path in (plain / "converted").iterdir():
            path.rename(partial / path.name)
    model.tokenizer.save_pretrained(partial)


def _load_ctranslate2(model: LoadedModel, folder: Path) -> Runtime:
    from ctranslate2 import Generator

    generator = Generator(str(folder), intra_threads=torch.get_num_threads())

    def logits(ids: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.array(generator.forward_batch([list(ids)])))[0]

    def answer(prompt: Sequence[int], most: int) -> list[int]:
        names = model.tokenizer.convert_ids_to_tokens(list(prompt))
        [found] = generator.generate_batch(
            [names], max_length=most, include_prompt_in_result=False, return_end_token=True
        )
        return list(found.sequences_ids[0])

    return Runtime(load_tokenizer(str(folder)), logits, answer)


class _Graph(nn.Module):
    """Token ids to logits, and nothing else."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids, use_cache=False).logits
        return logits


def _write_onnx(model: LoadedModel, partial: Path) -> None:
    # It tells of every operator of torchvision that is not there.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    sizes = torch.export.Dim("batch"), torch.export.Dim("tokens", max=model.context)
    with library_attention(model.model), warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            _Graph(model.model).eval(),
            (torch.zeros(2, 2, dtype=torch.int64),),
            partial / _ONNX,
            input_names=["input_ids"],
            output_names=["logits"],
            dynamic_shapes={"input_ids": dict(enumerate(sizes))},
            dynamo=True,
            verbose=False,
        )
    model.model.config.save_pretrained(partial)
    model.tokenizer.save_pretrained(partial)


def _load_onnx(_: LoadedModel, folder: Path) -> Runtime:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = InferenceSession(folder / _ONNX, options)

    def logits(ids: Sequence[int]) -> Tensor:
        return torch.from_numpy(session.run(None, {"input_ids": np.array([ids])})[0][0])

    return Runtime(load_tokenizer(str(folder)), logits)


def _write_gguf(model: LoadedModel, partial: Path) -> None:
    converter = shutil.which(_CONVERTER)
    if converter is None:
        raise InputError(
            f"GGUF is written by llama.cpp's {_CONVERTER}, which is not on the PATH: put it there, "
            "or export --format hf, and run it on that: docs/export.md"
        )
    with _plain(model, partial) as plain:
        out = ["--outtype", "f32", "--outfile", str(partial / _GGUF)]
        done = subprocess.run(
            [converter, str(plain), *out], capture_output=True, text=True, check=False
        )
    if done.returncode or not (partial / _GGUF).is_file():
        raise ValueError((done.stderr.strip() or "nothing was written").splitlines()[-1])


def _load_gguf(_: LoadedModel, folder: Path) -> Runtime:
    read, tokenizer = read_gguf(folder / _GGUF)
    return Runtime(tokenizer, logits_of(read.eval()))


@contextmanager
def _plain(model: LoadedModel, partial: Path) -> Iterator[Path]:
    """The model as transformers reads it, in a folder within that goes away."""
    with TemporaryDirectory(dir=partial) as plain:
        _write_hf(model, Path(plain))
        yield Path(plain)


FORMATS = {
    "hf": Format((), _write_hf, _load_hf),
    "ctranslate2": Format(("ctranslate2",), _write_ctranslate2, _load_ctranslate2),
    "onnx": Format(("onnx", "onnxscript", "onnxruntime"), _write_onnx, _load_onnx),
    "gguf": Format(("gguf", "accelerate"), _write_gguf, _load_gguf),
}
"""By the name that is typed."""
