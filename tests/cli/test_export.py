"""`export`: in its own runtime a model says what it said, or nothing is written."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaForCausalLM,
    OlmoConfig,
    OlmoForCausalLM,
    PreTrainedTokenizerFast,
)

import careergpt
from careergpt.cli import main
from careergpt.data.tasks import Piece, PromptCompletion
from careergpt.data.tokens import encode
from careergpt.errors import InputError
from careergpt.modeling.export import FORMATS, Runtime, logits_of
from careergpt.modeling.loaded import LoadedModel, find_model
from careergpt.recommend.agreement import TOLERANCE, Agreement, agreement

TEXTS = ["Which skills does a Registered nurse need?", "Welder"]


@pytest.fixture(scope="module")
def models(
    taught: careergpt.Run,
    llama: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """A GPT-2 that was taught candidates, and a Llama that knows none."""
    folder = tmp_path_factory.mktemp("models") / "llama"
    llama.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"gpt2": taught.model, "llama": folder}


def hf(folder: Path, ids: Tensor) -> Tensor:
    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(folder)(ids).logits


def ctranslate2(folder: Path, ids: Tensor) -> Tensor:
    import ctranslate2

    generator = ctranslate2.Generator(str(folder))
    return torch.tensor(np.array(generator.forward_batch(ids.tolist())))


def onnx(folder: Path, ids: Tensor) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    return torch.tensor(session.run(["logits"], {"input_ids": ids.numpy()})[0])


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("runtime", [hf, ctranslate2, onnx], ids=lambda one: one.__name__)
def test_an_exported_model_foretells_what_the_model_foretells(
    runtime: Callable[[Path, Tensor], Tensor],
    family: str,
    models: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, out = models[family], tmp_path / "out"
    words = [f"--model.pretrained={source}", f"--format={runtime.__name__}", f"--out={out}"]
    main(["export", *words])
    assert "questions (12), it answers greedily as the model does; " in capsys.readouterr().out
    own = AutoTokenizer.from_pretrained(source)
    ids = [AutoTokenizer.from_pretrained(out)(text).input_ids for text in TEXTS]
    assert ids == [own(text).input_ids for text in TEXTS]
    batch = torch.tensor([ids[0], (ids[1] * len(ids[0]))[: len(ids[0])]])
    expected = hf(source, batch)
    assert torch.allclose(runtime(out, batch), expected, atol=1e-4)
    assert expected.std() > 0.05
    names = {path.name for path in out.iterdir()}
    assert not names & {"careergpt.json", "peers", "trained_rows.npy"}
    assert all(path.is_file() for path in out.iterdir())


def test_a_folder_for_transformers_has_the_card_and_what_llama_cpp_asks_for(
    taught: careergpt.Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    main(["export", f"--model.pretrained={taught.model}", "--format=hf", f"--out={out}"])
    for name in ("README.md", "generation_config.json"):
        assert (out / name).read_bytes() == (taught.model / name).read_bytes()
    config = json.loads((out / "config.json").read_text())
    assert config["n_ctx"] == config["n_positions"]


def test_no_question_comes_twice_whatever_the_limit(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"--model.pretrained={models['llama']}", "--format=hf", f"--out={tmp_path / 'out'}"]
    main(["export", *words, "--limit=1000000"])
    assert "questions (12), " in capsys.readouterr().out  # Of three titles, as by default.


@pytest.fixture(scope="module")
def model(models: dict[str, Path]) -> LoadedModel:
    return find_model(str(models["llama"])).load(torch.device("cpu"))


@pytest.fixture
def faithful(model: LoadedModel, tmp_path: Path) -> Runtime:
    FORMATS["hf"].write(model, tmp_path)
    return FORMATS["hf"].load(model, tmp_path)


def answers(runtime: Runtime, prompt: Sequence[int], most: int) -> list[int]:
    assert runtime.answer
    return runtime.answer(prompt, most)


PAIRS = [PromptCompletion("", (Piece(text, None),), (Piece(" a nurse", None),)) for text in TEXTS]


def test_a_faithful_one_agrees(model: LoadedModel, faithful: Runtime) -> None:
    assert agreement(model, faithful, PAIRS) == Agreement(2, 2, 0.0, 0.0)


def test_a_token_as_likely_may_take_another_s_place(model: LoadedModel, faithful: Runtime) -> None:
    [example, _] = encode(PAIRS, model.tokenizer, model.context)
    prompt = example.token_ids[: example.n_prompt]
    chosen = answers(faithful, prompt, 1)[0]
    [other] = {7, 8} - {chosen, *example.token_ids} - {7}
    tied = deepcopy(model.model)
    with torch.no_grad():  # Embedding and head are one: both are read, and are foretold, alike.
        tied.get_input_embeddings().weight[other] = tied.get_input_embeddings().weight[chosen]

    def answer(prompt, most):
        return [other if id == chosen else id for id in answers(faithful, prompt, most)]

    swapped = Runtime(model.tokenizer, logits_of(tied), answer)
    found = agreement(model._replace(model=tied), swapped, PAIRS[:1])
    assert found == Agreement(1, 1, 0.0, 0.0)
    with pytest.raises(InputError, match="differs by"):
        agreement(model, swapped._replace(logits=faithful.logits), PAIRS[:1])


def test_what_says_anything_else_is_refused(
    model: LoadedModel, faithful: Runtime, other_tokenizer: PreTrainedTokenizerFast
) -> None:
    def moved(by: float) -> Runtime:
        def logits(ids):
            found = faithful.logits(ids)
            return found + by * (torch.arange(found.shape[-1]) == 7)

        return faithful._replace(logits=logits)

    def answering(change: Callable[[list[int], int], list[int]]) -> Runtime:
        return faithful._replace(
            answer=lambda ids, most: change(answers(faithful, ids, most), most)
        )

    end = model.tokenizer.eos_token_id
    assert agreement(model, moved(TOLERANCE / 2), PAIRS).gap > TOLERANCE / 4
    wrong = {
        "differs by": [
            moved(2 * TOLERANCE),
            moved(float("nan")),
            answering(lambda answer, most: [answer[0] + 1, *answer[1:]]),
            faithful._replace(answer=None, logits=lambda ids: -faithful.logits(ids)),
        ],
        "in the wrong place": [
            answering(lambda answer, most: answer[:-1]),
            answering(lambda answer, most: [end, *answer][:most]),
        ],
        "other tokens": [faithful._replace(tokenizer=other_tokenizer)],
    }
    for told, runtimes in wrong.items():
        for runtime in runtimes:
            with pytest.raises(InputError, match=told):
                agreement(model, runtime, PAIRS)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """The line that the command ends with; nothing is left in its folder."""

    def line(source: Path, form: str) -> str:
        out = tmp_path / "out"
        with pytest.raises(SystemExit) as caught:
            main(["export", f"--model.pretrained={source}", f"--format={form}", f"--out={out}"])
        assert caught.value.code == 2
        assert not out.exists() or not list(out.iterdir())
        said = capsys.readouterr().err.splitlines()[-1]  # Below a bar of transformers'.
        assert said.startswith("error: ")
        return said

    return line


def test_what_a_converter_gets_wrong_is_not_written(
    models: dict[str, Path], refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rounded(model: LoadedModel, folder: Path) -> None:
        half = deepcopy(model.model).half().float()
        FORMATS["hf"].write(model._replace(model=half), folder)

    broken = FORMATS["hf"]._replace(write=rounded)
    monkeypatch.setattr("careergpt.cli.export.FORMATS", {**FORMATS, "hf": broken})
    assert "differs by" in refused(models["llama"], "hf")


def test_what_a_runtime_does_not_know_or_a_disk_does_not_hold_is_one_line(
    models: dict[str, Path],
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    refused,
    full_disk: Callable[[int], None],
) -> None:
    end, folder = tokenizer.eos_token_id, tmp_path / "olmo"
    config = OlmoConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64,
        bos_token_id=end, eos_token_id=end,
    )  # fmt: skip
    OlmoForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    said = refused(folder, "ctranslate2")
    assert "cannot be exported as ctranslate2 (No conversion is registered" in said
    full_disk(20_000)
    for form in ("hf", "ctranslate2"):
        assert "cannot write" in refused(models["llama"], form)


@pytest.mark.parametrize(("form", "package"), [("ctranslate2",) * 2, ("onnx", "onnxscript")])
def test_a_missing_package_is_named_with_what_brings_it(
    form: str, package: str, models: dict[str, Path], refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    said = refused(models["llama"], form)
    assert f"{package}, which is not installed: pip install 'careergpt[export]'" in said


def converter(folder: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts llama.cpp's converter on the PATH: `MODEL --outtype f32 --outfile FILE`."""
    folder.mkdir(exist_ok=True)
    (folder / "convert_hf_to_gguf.py").write_text(f"#!/bin/sh\n{line}\n")
    (folder / "convert_hf_to_gguf.py").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_gguf_is_written_by_llama_cpp_s_converter_and_read_back(
    models: dict[str, Path],
    llama_file: Path,
    refused,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "convert_hf_to_gguf.py, which is not on the PATH" in refused(models["llama"], "gguf")
    folder, out = tmp_path / "bin", tmp_path / "llama"
    converter(folder, "echo 'KeyError: n_ctx' >&2; exit 1", monkeypatch)
    assert "cannot be exported as gguf (KeyError: n_ctx)" in refused(models["llama"], "gguf")
    converter(folder, f'test -f "$1/model.safetensors" && cp {llama_file} "$5"', monkeypatch)
    words = [f"--model.pretrained={models['llama']}", "--format=gguf", f"--out={out}"]
    main(["export", *words])
    assert "questions (12), it answers greedily as the model does; " in capsys.readouterr().out
    assert (out / "model.gguf").read_bytes() == llama_file.read_bytes()
    # A file of another model.
    assert "differs by" in refused(models["gpt2"], "gguf")
