"""Model folders as others save them: read as what they are, or refused in one line."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from careergpt.data.prompts import Question, ready_prompts
from careergpt.data.tasks import Piece
from careergpt.errors import InputError
from careergpt.generation.decoding import generate
from careergpt.generation.sampling import Decoding
from careergpt.modeling.checks import check_folder
from careergpt.modeling.loaded import LoadedModel, find_model


def loaded(folder: Path) -> LoadedModel:
    return find_model(str(folder)).load(torch.device("cpu"))


def weights(model: LoadedModel) -> dict[str, torch.Tensor]:
    return dict(model.model.named_parameters())


@pytest.mark.parametrize("saved", ["shards", "bf16"])
def test_shards_and_bf16_hold_the_same_weights(
    saved: str, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_gpt2)
    if saved == "bf16":
        model = model.to(torch.bfloat16)
    model.save_pretrained(tmp_path, max_shard_size="100KB" if saved == "shards" else "5GB")
    tokenizer.save_pretrained(tmp_path)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (saved == "shards")
    found, whole = weights(loaded(tmp_path)), weights(loaded(tiny_gpt2))
    for name, weight in found.items():
        assert weight.dtype == torch.float32
        given = whole[name].bfloat16().float() if saved == "bf16" else whole[name]
        assert torch.equal(weight, given), name


def test_a_tokenizer_needs_no_pad_token(tiny_gpt2: Path) -> None:
    model = loaded(tiny_gpt2)
    assert model.tokenizer.pad_token is None
    questions = [Question(text, (Piece(text, None),)) for text in ("A", "A much longer prompt:")]
    decoding = Decoding(max_new_tokens=4)
    prompts = ready_prompts(questions, model.tokenizer)
    answers = generate(model.model, model.tokenizer, prompts, decoding, model.context)
    assert all(answer.token_ids for answer in answers)


@pytest.mark.parametrize("name", ["gpt2@main", "openai-community/gpt2@607a30d", "a/b/onnx"])
def test_a_revision_or_a_subfolder_of_the_hub_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError, match=f"no such model folder: {name}") as caught:
        check_folder(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", [None, "poem", 3, ["chat"]])
def test_a_folder_says_how_it_reads_prompts_or_reads_them_as_they_are(
    form: object, tiny_gpt2: Path, tmp_path: Path
) -> None:
    for path in tiny_gpt2.iterdir():
        (tmp_path / path.name).symlink_to(path)
    settings = {} if form is None else {"prompt_form": form}
    (tmp_path / "careergpt.json").write_text(json.dumps(settings))
    if form is None:
        assert loaded(tmp_path).form == "plain"
    else:
        with pytest.raises(InputError, match="prompt_form is none of plain, newline, chat"):
            loaded(tmp_path)
