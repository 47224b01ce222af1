"""LoRA by peft: adapters that train beside frozen weights, kept small, and merged into them."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from careergpt.data.whole_files import whole_files, write_json, writing
from careergpt.errors import InputError, extra
from careergpt.modeling.checks import ADAPTER_WEIGHTS, read_object

BASE = "base_weights"
"""Where careergpt.json in an adapter's folder names the weights that it was trained beside."""

# What stands before a weight's name in peft's files.
_OF_PEFT = "base_model.model."


@dataclass(frozen=True)
class LoRA:
    """Low-rank adapters, which train in the place of a pretrained model's own weights.

    Args:
        r: Rank of each adapter.
        alpha: Adapters are scaled by alpha / r.
        dropout: On what goes into an adapter, in training.
        targets: Names, or ends of names, of the layers to adapt; null: every linear layer, but for
            the head.
        use_dora: Train each column's magnitude too (DoRA).
        use_rslora: Scale by alpha / sqrt(r) instead, for high ranks (rsLoRA).
    """

    r: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: list[str] | None = None
    use_dora: bool = False
    use_rslora: bool = False

    def __post_init__(self) -> None:
        """Raises InputError for values that no adapter has."""
        if self.r < 1 or self.alpha < 1:
            raise InputError(f"model.lora: r and alpha must be 1 or more, found {self}")
        if not 0 <= self.dropout < 1:
            raise InputError(f"model.lora.dropout must be 0 or more and below 1: {self.dropout}")

    def built_by(self) -> dict[str, Any]:
        """What a resumed run may not change."""
        return {name: value for name, value in asdict(self).items() if name != "dropout"}


def weights_digest(model: nn.Module) -> str:
    """Names the weights by their content."""
    digest = sha256()
    for name, weight in model.named_parameters():
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def add_adapters(model: PreTrainedModel, lora: LoRA, base: str) -> None:
    """Adds adapters that change nothing yet; they alone train, and are all that a state holds.

    Args:
        model: The pretrained model, `base` its name.
        lora: How the adapters are made.
        base: Where the adapter's folder will say that the other weights are.

    Raises:
        InputError: peft is missing, there is no such layer, or it holds the embedding.
    """
    if Path(base).is_dir():
        base = str(Path(base).resolve())
    _require_peft("--model.lora")
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets or "all-linear",
        use_dora=lora.use_dora,
        use_rslora=lora.use_rslora,
        fan_in_fan_out=any(isinstance(part, Conv1D) for part in model.modules()),
    )
    try:
        inject_adapter_in_model(config, model)
    except ValueError as error:
        raise InputError(f"model.lora: {' '.join(str(error).split())[:200]}") from None
    _check_places(model, "model.lora.targets")
    model.register_state_dict_post_hook(_leave_out_frozen)
    model.register_load_state_dict_pre_hook(_fill_in_frozen)


def _leave_out_frozen(module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    for name, weight in module.named_parameters(remove_duplicate=False):
        if not weight.requires_grad:
            state.pop(prefix + name, None)


def _fill_in_frozen(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    for name, weight in module.named_parameters(remove_duplicate=False):
        if not weight.requires_grad:
            state.setdefault(prefix + name, weight)


def save_adapters(model: PreTrainedModel, folder: Path) -> None:
    """Writes the adapters alone, in peft's format."""
    from peft import get_peft_model_state_dict

    weights = get_peft_model_state_dict(model, save_embedding_layers=False)
    named = {_OF_PEFT + name: weight.contiguous() for name, weight in weights.items()}
    config: Any = model.peft_config
    with whole_files(folder) as partial:
        save_file(named, partial / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        config["default"].save_pretrained(partial)


def merge(model: PreTrainedModel) -> None:
    """Adds the adapters' products to the weights: the model is an ordinary one again."""
    from peft.tuners.lora import LoraLayer

    layers = [(name, part) for name, part in model.named_modules() if isinstance(part, LoraLayer)]
    for name, layer in layers:
        layer.merge()
        model.set_submodule(name, layer.get_base_layer())
    del model.peft_config
    model.requires_grad_(True)


def complete_adapter(folder: Path, model: Path, base: str) -> None:
    """Adds to an adapter's folder what is beside the merged model's weights.

    So it is a model folder of its own: every verb takes it. `base` is the digest of the weights
    that it belongs to.
    """
    weights = shutil.ignore_patterns("*.safetensors*", "config.json", "README.md")
    with writing(folder):
        shutil.copytree(model, folder, ignore=weights, dirs_exist_ok=True)
    settings = folder / "careergpt.json"
    write_json(settings, {**read_object(settings), BASE: base})


def merge_adapter(model: PreTrainedModel, folder: str, base: object) -> None:
    """Loads the folder's adapter onto its base, and merges it.

    Args:
        model: The base, loaded.
        folder: The adapter's.
        base: The digest of the weights that it belongs to; None: nobody noted that.

    Raises:
        InputError: peft is missing, or the adapter is another model's.
    """
    _require_peft(f"{folder} holds an adapter, which")
    if base is not None and base != weights_digest(model):
        raise InputError(
            f"{folder} was trained beside other weights than its base has now: put those back, or "
            "give the merged model, RUN/model"
        )
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict

    try:
        inject_adapter_in_model(LoraConfig.from_pretrained(folder), model)
        named = load_file(Path(folder) / ADAPTER_WEIGHTS)
        weights = {name.removeprefix(_OF_PEFT): weight for name, weight in named.items()}
        info: Any = set_peft_model_state_dict(model, weights)
    except Exception as error:  # ValueError, TypeError, RuntimeError, safetensors' own …
        reason = " ".join(str(error).split())[:150]
        raise InputError(f"{folder}: its adapter does not fit its base ({reason})") from None
    odd = [name for name in info.missing_keys if "lora_" in name] + info.unexpected_keys
    if odd:
        raise InputError(
            f"{folder}: its adapter does not fit its base ({str(odd[0])[:100]}): name the right "
            "one in adapter_config.json"
        )
    _check_places(model, folder)
    merge(model)


def _check_places(model: PreTrainedModel, source: str) -> None:
    """Refuses an adapter of the embedding or the head: they are often one, and read apart."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    if any(isinstance(end, BaseTunerLayer) for end in ends):
        raise InputError(f"{source}: the embedding and the head cannot be adapted: leave them out")


def _require_peft(what: str) -> None:
    with extra("lora", what):
        import peft  # noqa: F401
