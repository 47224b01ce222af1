"""What is data executes nothing: checkpoints, model folders, YAML tags, URLs; logs hold no keys."""

import ast
import io
import json
import os
import pickle
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig

from careergpt.cli import main
from careergpt.data.tokens import load_tokenizer
from careergpt.errors import InputError
from careergpt.modeling.folder import build_model, pretrained_config
from tests.processes import run

ROOT = Path(__file__).parents[2]
FORCED = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


class Bomb:
    """A value whose unpickling makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, (self.path, "w"))


@pytest.fixture
def owned(tmp_path: Path) -> Path:
    """The file that there is once something was executed."""
    return tmp_path / "owned"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any try to reach a network fails the test, whatever catches exceptions in between."""

    def fail(*_: object, **__: object) -> None:
        os.write(2, b"the network was asked\n")
        pytest.exit("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", fail)
    monkeypatch.setattr(socket, "getaddrinfo", fail)


@pytest.fixture(params=["as it is", "torch's checks off"])
def environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With and without the variable that lets torch run what a checkpoint says."""
    if request.param != "as it is":
        monkeypatch.setenv(FORCED, "1")
    return str(request.param)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], owned: Path) -> Callable[..., str]:
    """The one line that a command ends with, once it is sure that nothing was executed."""

    def _refused(*words: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(list(words))
        error = capsys.readouterr().err
        assert caught.value.code == 2
        # Transformers may warn above it of what it finds in a folder.
        assert error.splitlines()[-1].startswith("error: ")
        assert error.count("error: ") == 1
        assert not owned.exists()
        return error

    return _refused


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("verb", ["fit", "validate"])
@pytest.mark.parametrize("form", ["a part of a checkpoint", "all of a checkpoint", "a raw pickle"])
def test_a_malicious_checkpoint_is_refused(
    form: str, verb: str, run: Path, short: list[str], model: str, quiet: list[str],
    sample: list[str], tmp_path: Path, owned: Path, refused: Callable,
) -> None:  # fmt: skip
    path = tmp_path / "bomb.ckpt"
    if form == "a part of a checkpoint":
        state = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
        torch.save({**state, "callbacks": Bomb(owned)}, path)
    elif form == "all of a checkpoint":
        torch.save(Bomb(owned), path)
    else:
        path.write_bytes(pickle.dumps(Bomb(owned)))
    new = f"--trainer.default_root_dir={tmp_path / 'run'}"
    words = ["fit", *short, new] if verb == "fit" else ["validate", model, *quiet, *sample]
    refused(*words, f"--ckpt_path={path}")


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("verb", ["fit", "predict", "recommend"])
@pytest.mark.parametrize("form", ["pickle", "code"])
def test_a_malicious_model_folder_is_refused(
    form: str, verb: str, run: Path, short: list[str], quiet: list[str], tmp_path: Path,
    owned: Path, refused: Callable,
) -> None:  # fmt: skip
    folder = tmp_path / "folder"
    shutil.copytree(run / "model", folder)
    if form == "pickle":
        (folder / "model.safetensors").unlink()
        torch.save({"transformer.wte.weight": Bomb(owned)}, folder / "pytorch_model.bin")
    else:
        made = f"open({str(owned)!r}, 'w')\nclass C: pass\n"
        (folder / "evil.py").write_text(made)
        named = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.C"}
        config = json.loads((folder / "config.json").read_text())
        config |= {"auto_map": named, "model_type": "evil"}
        (folder / "config.json").write_text(json.dumps(config))
    asked = tmp_path / "asked.txt"
    asked.write_text("What?\n")
    words = {
        "fit": ["fit", *short, f"--trainer.default_root_dir={tmp_path / 'run'}"],
        "predict": ["predict", *quiet, f"--data.prompts={asked}"],
        "recommend": ["recommend", "--device=cpu", "--position=Nurse"],
    }[verb]
    assert str(folder) in refused(*words, f"--model.pretrained={folder}")


def test_code_beside_a_model_that_transformers_knows_is_not_run(
    run: Path, quiet: list[str], tmp_path: Path, owned: Path
) -> None:
    folder, asked = tmp_path / "folder", tmp_path / "asked.txt"
    shutil.copytree(run / "model", folder)
    asked.write_text("What?\n")
    (folder / "evil.py").write_text(f"open({str(owned)!r}, 'w')\nclass C: pass\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.C"}
    (folder / "config.json").write_text(json.dumps(config))
    places = [f"--model.pretrained={folder}", f"--data.prompts={asked}", f"--out={tmp_path / 'o'}"]
    main(["predict", *quiet, *places])
    assert not owned.exists()


@pytest.mark.parametrize("verb", ["fit", "predict", "audit", "compare"])
@pytest.mark.parametrize("place", ["{}", "model: {}", "data: {{source: {}}}"])
def test_a_tag_in_a_configuration_is_refused(
    place: str, verb: str, tmp_path: Path, owned: Path, refused: Callable
) -> None:
    path = tmp_path / "tag.yaml"
    path.write_text(place.format(f"!!python/object/apply:os.system ['touch {owned}']"))
    needed = ["--baseline=a", "--finetuned=b"] if verb == "compare" else []
    assert "could not determine a constructor" in refused(verb, f"--config={path}", *needed)


URLS = ["http://host.invalid/x", "https://host.invalid/x", "s3://bucket/x"]
OPTIONS = {
    "a checkpoint": ("fit", "--ckpt_path={}.ckpt"),
    "fit's configuration": ("fit", "--config={}.yaml"),
    "audit's configuration": ("audit", "--config={}.yaml"),
    "fit's table": ("fit", "--data.source={}.csv"),
    "audit's table": ("audit", "--data.source={}.parquet"),
    "prompts": ("predict", "--data.prompts={}.jsonl"),
    "candidates": ("recommend", "--candidates={}.csv"),
    "people": ("people", "--input={}.jsonl"),
    "a model": ("fit", "--model.pretrained={}"),
    "a tokenizer": ("fit", "--model.scratch.tokenizer={}"),
}


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("case", OPTIONS)
def test_a_url_is_one_line_and_no_network_is_asked(
    case: str, url: str, short: list[str], model: str, quiet: list[str], tmp_path: Path,
    refused: Callable,
) -> None:  # fmt: skip
    verb, option = OPTIONS[case]
    words = {
        "fit": ["fit", *short, f"--trainer.default_root_dir={tmp_path / 'run'}"],
        "audit": ["audit", f"--data.cache={tmp_path / 'cache'}"],
        "predict": ["predict", model, *quiet],
        "recommend": ["recommend", model, "--position=Nurse", "--device=cpu"],
        "people": ["recommend", model, "--device=cpu"],
    }[verb]
    assert url in refused(*words, option.format(url))


def test_no_code_of_a_model_s_is_trusted_anywhere() -> None:
    """Where nothing is said, transformers asks whoever sits there, or what is piped in."""
    for path in (*ROOT.glob("careergpt/**/*.py"), *ROOT.glob("benchmarks/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            # peft's configuration is numbers in JSON, and knows no code of a folder's.
            if ast.unparse(node.func) == "LoraConfig.from_pretrained":
                continue
            if node.func.attr in ("from_pretrained", "from_config"):
                said = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert said.get("trust_remote_code") == "False", f"{path}:{node.lineno}"


LOADS: dict[str, Callable[[str, Any], object]] = {
    "AutoConfig": pretrained_config,
    "AutoTokenizer": lambda folder, _: load_tokenizer(folder),
    "AutoModelForCausalLM": lambda folder, _: build_model(
        AutoConfig.from_pretrained(folder, trust_remote_code=False), folder
    ),
}
# What transformers must not know, or it would not ask.
STRANGE = {
    "AutoConfig": {"model_type": "evil"},
    "AutoTokenizer": {"tokenizer_class": "EvilTokenizer"},
    "AutoModelForCausalLM": {"model_type": "vit"},
}


@pytest.mark.parametrize("kind", LOADS)
def test_code_in_a_model_folder_is_not_run_whatever_is_answered(
    kind: str, run: Path, tmp_path: Path, owned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(run / "model", folder)
    (folder / "evil.py").write_text(f"open({str(owned)!r}, 'w')\nclass C: pass\n")
    named: object = "evil.C"
    path = folder / "config.json"
    if kind == "AutoTokenizer":
        path.unlink()
        named, path = ["evil.C", "evil.C"], folder / "tokenizer_config.json"
    told = json.loads(path.read_text()) | STRANGE[kind] | {"auto_map": {kind: named}}
    path.write_text(json.dumps(told))
    answers = io.StringIO("y\n" * 9)
    monkeypatch.setattr("sys.stdin", answers)
    with suppress(InputError):
        LOADS[kind](str(folder), load_tokenizer(str(run / "model")))
    assert not owned.exists()
    assert answers.tell() == 0  # Nobody was asked.


SECRETS = {
    "WANDB_API_KEY": "0123456789abcdef0123456789abcdef01234567",
    "HF_TOKEN": "hf_markerMARKERmarkerMARKERmarkerMA",
    "AWS_SECRET_ACCESS_KEY": "aws/marker+MARKER/marker+MARKER/marker+M",
}


def test_a_run_s_folder_holds_no_secret_of_the_environment(
    short: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    words = [word for word in short if word != "--trainer.logger=false"]
    done = run(
        ["fit", *words, f"--trainer.default_root_dir={folder}"],
        {**SECRETS, "WANDB_MODE": "offline"}, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert [path for path in written if path.suffix == ".wandb"]
    told = (done.stdout.encode(), done.stderr.encode())
    for content in (*told, *(path.read_bytes() for path in written)):
        for secret in SECRETS.values():
            assert secret.encode() not in content
