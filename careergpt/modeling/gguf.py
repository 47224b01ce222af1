"""GGUF files: llama.cpp's form of a model, converted into an ordinary model folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from careergpt.data.tokens import encode_texts
from careergpt.errors import InputError, extra
from careergpt.modeling.attention import library_attention
from careergpt.modeling.folder import write_pretrained
from careergpt.modeling.loaded import LoadedModel, find_model

_PROBE = "We are looking for a nurse who cares for patients and"

# Of logits: sums of fp32 in another order.
_TOLERANCE = 1e-4


def check_gguf(path: Path) -> None:
    """Raises InputError for a file that is missing, or no GGUF file."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a GGUF file") from None
    if start != b"GGUF":
        raise InputError(f"{path} is no GGUF file: it begins with {start!r}")


def check_installed() -> None:
    """Raises InputError where what reads GGUF files is not installed."""
    with extra("pretrained", "reading GGUF files"):
        import accelerate  # noqa: F401
        import gguf  # noqa: F401


def told_by(path: Path) -> dict[str, str]:
    """What the file says of its name and licence, where it does."""
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    names = {"name": "general.name", "licence": "general.license"}
    return {name: str(fields[key].contents()) for name, key in names.items() if key in fields}


def read_gguf(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The file's model, its weights in fp32, and its tokenizer.

    Raises:
        InputError: The file is damaged, or of a family that transformers cannot convert.
    """
    logging.disable_progress_bar()
    where: dict[str, Any] = {"gguf_file": path.name, "local_files_only": True}
    beside = path.absolute().parent
    try:
        loader: Any = AutoModelForCausalLM
        read: PreTrainedModel = loader.from_pretrained(
            beside, dtype=torch.float32, trust_remote_code=False, **where
        )
        reader: Any = AutoTokenizer
        tokenizer = reader.from_pretrained(beside, trust_remote_code=False, **where)
    except Exception as error:  # What gguf, transformers and tokenizers raise of foreign files.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path} cannot be converted ({reason}): give another GGUF file") from None
    return read, tokenizer


def convert(path: Path, partial: Path) -> LoadedModel:
    """Writes the file's model into the folder, fp32 weights and tokenizer, and loads it from there.

    Raises:
        InputError: It cannot be read, or is larger than the disk has room for.
    """
    read, tokenizer = read_gguf(path)
    needed = sum(4 * weight.numel() for weight in read.parameters())
    if needed > (free := shutil.disk_usage(partial).free):
        raise InputError(
            f"{partial}: the model needs {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} are free"
        )
    config = read.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    # What was read calls itself quantized for good; its weights are not.
    with torch.device("meta"):
        model = type(read)(config)
    model.load_state_dict(read.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    write_pretrained(model, tokenizer, partial)
    return _checked(read, partial)


@torch.no_grad()
def _checked(read: PreTrainedModel, folder: Path) -> LoadedModel:
    """The folder's model, where it foretells what the one that was read foretells."""
    copy = find_model(str(folder)).load(torch.device("cpu"))
    ids = torch.tensor(encode_texts(copy.tokenizer, [_PROBE]))
    with library_attention(copy.model):
        logits, kept = (model(ids, use_cache=False).logits for model in (read.eval(), copy.model))
    gap = float((logits - kept).abs().max())
    if not gap < _TOLERANCE * (1 + float(logits.abs().max())):
        raise InputError(f"{folder}: its logits differ by {gap:.2g} from those of the file")
    return copy
