"""A mistake of the user's: one line on stderr, exit code 2, nothing left behind."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from careergpt import cli
from careergpt.cli import main
from tests.processes import run

ROOT = Path(__file__).parents[2]
HEADER = "company_name,position_title,job_description,skills\n"


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if "cache" not in path.parts)


def refusal(words: list[str], capsys: pytest.CaptureFixture[str], left: Path) -> str:
    """What is said, once it is sure that this is all that happened.

    What was read may stay in the cache, whole: that no row was of use is a finding too.
    """
    before = files(left)
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(words)
    out, error = capsys.readouterr()
    assert caught.value.code == 2
    assert error.startswith("error: ")
    assert error.count("\n") == 1, error
    assert "Traceback" not in out + error
    assert files(left) == before
    assert not [path for path in left.rglob("*") if path.suffix in (".partial", ".cleaned")]
    return error


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[[list[str]], str]:
    return lambda words: refusal(words, capsys, tmp_path)


@pytest.fixture
def fit(scratch: list[str], quiet: list[str], tmp_path: Path) -> list[str]:
    """A fit whose cache and run would lie in the test's own folder."""
    places = [
        f"--data.cache={tmp_path / 'cache'}",
        f"--trainer.default_root_dir={tmp_path / 'run'}",
    ]
    return ["fit", *scratch, *quiet, *places, "--data.processes=1", "--trainer.max_epochs=1"]


TABLES = {
    "an empty file": ("", "empty"),
    "white space alone": ("\n \n\n", "jobs.csv"),
    "a header alone": (HEADER, "jobs.csv"),
    "a missing column": ("name,text\na,b\n", "it has: name, text). Map it: --data.columns."),
    "every completion empty": (HEADER + 'Co,Nurse,,\n"",Welder,n/a,-1\n' * 20, "no job_descr"),
    "an open quote": (HEADER + 'Co,Nurse,"cares,\n' * 3, "quote"),
    "no text at all": ("\x00\x01\x02" * 100, "jobs.csv"),
}


@pytest.mark.parametrize("case", TABLES)
@pytest.mark.parametrize("verb", ["fit", "audit"])
def test_a_table_that_serves_nothing(
    case: str, verb: str, fit: list[str], tmp_path: Path, refused: Callable
) -> None:
    text, said = TABLES[case]
    source = tmp_path / "jobs.csv"
    source.write_text(text)
    cache = f"--data.cache={tmp_path / 'cache'}"
    words = fit if verb == "fit" else ["audit", cache]
    assert said in refused([*words, f"--data.source={source}"])


SOURCES = {
    "no such file": ("nowhere.csv", "nowhere.csv"),
    "an empty folder": ("nothing", "nothing"),
    "a folder without tables": ("notes", "notes"),
    "another kind of file": ("notes/a.docx", "a.docx"),
    "a pipe": ("pipe.csv", "is a pipe or a device"),
    "an endless device": ("zero.csv", "is a pipe or a device"),
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_source_that_is_no_table(
    case: str, fit: list[str], tmp_path: Path, refused: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.docx").write_text("x")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    name, said = SOURCES[case]
    assert said in refused([*fit, f"--data.source={tmp_path / name}"])


OPTIONS = {
    "an unknown option": ("--model.learning_rate=1", "learning_rate"),
    "an unknown group": ("--optimizer.lr=1", "optimizer"),
    "an abbreviation": ("--trainer.max_epoch=1", "max_epoch"),
    "a word for a number": ("--model.lr=fast", "fast"),
    "an unknown value": ("--data.splits=random", "random"),
    "a batch of 0": ("--data.batch_tokens=0", "data.batch_tokens must be 1 or more, found 0"),
    "idle rows": ("--data.batch_size=4", "data.batch_size does nothing with data.pack=true"),
    "more than the context": ("--data.max_length=500", "but the model reads 128 tokens at most"),
    "a rate below 0": ("--model.lr=-1", "model.lr must be 0 or more, found -1"),
    "a rate of 0": ("--model.lr=0", "model.lr is 0: nothing would be learned"),
    "fractions of all": ("--data.val_fraction=0.95", "data.val_fraction"),
    "no layers": ("--model.scratch.n_layer=0", "every size must be 1 or more"),
    "heads that do not divide": ("--model.scratch.n_head=3", "must be a multiple of n_head"),
    "a sampling temperature of 0": ("--model.decoding.temperature=0", "temperature must be above"),
    "a URL": ("--ckpt_path=https://host/x.ckpt", "never from a URL"),
    "no such checkpoint": ("--ckpt_path=no.ckpt", "there is no checkpoint at no.ckpt"),
    "the best of no run": ("--ckpt_path=best", "there is no checkpoint"),
    "a folder without a model": ("--model.pretrained={there}", "holds no model"),
    "no such model": ("--model.pretrained=./no/model", "no such model folder"),
    "a hub without a network": ("--model.pretrained=gpt2-of-nobody", "gpt2-of-nobody"),
    "no such tokenizer": ("--model.scratch.tokenizer=./none", "no tokenizer can be loaded"),
    "no such configuration": ("--config=none.yaml", "none.yaml"),
    "no limit at all": ("--titles.limit=-1", "titles.limit must be 0 or more, found -1"),
    "no choices at all": ("--rankings.limit=-1", "rankings.limit must be 0 or more, found -1"),
    "samples of nothing": ("--samples.max_new_tokens=0", "max_new_tokens must be 1 or more"),
    "averages that forget nothing": ("--model.betas=[2,0.9]", "model.betas[0] must be 0 or more"),
    "dropout of all": ("--model.attention_dropout=1", "attention_dropout must be 0 or more"),
    "no batches a step": ("--trainer.accumulate_grad_batches=0", "must be 1 or more, found 0"),
    "no separator": ("--data.separators.skills=", "data.separators.skills is empty"),
    "no steps": ("--trainer.max_steps=0", "trainer.max_steps is 0: nothing would be learned"),
    "adapters of random weights": ("--model.lora.r=4", "model.lora adapts a pretrained model"),
    "adapters of no rank": ("--model.lora.r=0", "model.lora: r and alpha must be 1 or more"),
    "no epochs": ("--trainer.max_epochs=0", "trainer.max_epochs is 0: nothing would be learned"),
    "no training batches": ("--trainer.limit_train_batches=0", "limit_train_batches is 0: nothing"),
    "no time": ("--trainer.max_time=00:00:00:00", "leaves no time to train"),
    "a seed below 0": ("--seed_everything=-1", "seed_everything must be 0 to 4294967295, found -1"),
    "a seed beyond 32 bits": ("--seed_everything=4294967296", "0 to 4294967295, found 4294967296"),
    "a batch size finder": ("--trainer.callbacks=BatchSizeFinder", "set data.batch_tokens"),
    "a rate finder": ("--trainer.callbacks=LearningRateFinder", "compare runs by model.lr"),
    "a backbone": ("--trainer.callbacks=BackboneFinetuning", "has no backbone"),
    "an average that would be lost": (
        '--trainer.callbacks={"class_path": "StochasticWeightAveraging", "init_args": '
        '{"swa_lrs": 0.001}}', "EMAWeightAveraging",
    ),
    "a metric that is not": (
        '--trainer.callbacks={"class_path": "EarlyStopping", "init_args": {"monitor": "val_loss"}}',
        "has no metric 'val_loss' to monitor: there are train/loss, train/lr, val/loss",
    ),
    "no end": ("--trainer.max_epochs=-1", "the learning rate needs an end"),
    "no devices": ("--trainer.devices=0", "not a valid input"),
    "audit's option": ("--data.tokenizer=x", "--data.tokenizer is for audit"),
    "a cache in a file": ("--data.cache=/dev/null/x", "/dev/null is no folder; name one"),
    "a cache of too long a name": (f"--data.cache={'x' * 300}", "File name too long: shorten it"),
    "a run of too long a name": (
        f"--trainer.default_root_dir={'x' * 300}", "File name too long: shorten it",
    ),
    "a model of too long a name": (
        f"--model.pretrained={'x' * 300}", "File name too long: shorten it",
    ),
    "a template that asks nothing": (
        '--data.tasks={"t": {"prompt": "a", "completion": "b"}}', "has no {field}",
    ),
    "an unclosed template": (
        '--data.tasks={"t": {"prompt": "a", "completion": "{b"}}', "cannot be read",
    ),
    "a mapped column that is not there": (
        "--data.columns.skills=abilities", "no table has a column abilities",
    ),
    "a sampler of Lightning's": ("--trainer.use_distributed_sampler=true", "twice"),
    "a long way to validation": ("--trainer.val_check_interval=5000", "(5000) must be less"),
    "no time between validations": ("--trainer.val_check_interval=0", "val_check_interval is 0"),
    "no epochs between validations": (
        "--trainer.check_val_every_n_epoch=0", "check_val_every_n_epoch must be 1 or more, found 0",
    ),
    "gradients turned round": ("--trainer.gradient_clip_val=-1", "would be turned round"),
    "loader processes below 0": ("--data.workers=-1", "data.workers must be 0 to 1,024, found -1"),
    "more processes than any machine runs": ("--data.workers=100000", "0 to 1,024, found 100000"),
    "no process to prepare": ("--data.processes=0", "data.processes must be 1 to 1,024, found 0"),
    "a shuffled field that is no list": ("--data.shuffled=[skill]", "'skill', which is no list"),
    "a logger's package in a list": (
        '--trainer.logger=[{"class_path": "MLFlowLogger"}]', "Requirement 'mlflow",
    ),
    "what one of several loggers refuses": (
        '--trainer.logger=[{"class_path": "CSVLogger", "init_args": {"save_dir": "x"}}, '
        '{"class_path": "WandbLogger", "init_args": {"offline": true, "log_model": true}}]',
        "log_model",
    ),
    "what cannot be made": (
        "--trainer.callbacks=lightning.pytorch.callbacks.BaseFinetuning", "NotImplementedError",
    ),
    "bare bones": ("--trainer.barebones=true", "trainer.barebones=true: a run logs"),
    "a precision of another package": ("--trainer.precision=transformer-engine", "nstall"),
    "a logger's package": (
        '--trainer.logger={"class_path": "TensorBoardLogger", "init_args": {"save_dir": "x"}}',
        "TensorBoardLogger: Neither `tensorboard` nor `tensorboardX` is available",
    ),
    "another logger's package": ("--trainer.logger=MLFlowLogger", "MLFlowLogger: Requirement"),
    "a profiler's package": ("--trainer.profiler=xla", "XLAProfiler: Requirement"),
    "what a callback cannot take": (
        '--trainer.callbacks=[{"class_path": "StochasticWeightAveraging", "init_args": '
        '{"swa_lrs": -1.0}}]', "StochasticWeightAveraging: The `swa_lrs` should a positive",
    ),
    "options that exclude each other": (
        '--trainer.callbacks=[{"class_path": "ModelCheckpoint", "init_args": '
        '{"every_n_epochs": 1, "every_n_train_steps": 1}}]', "ModelCheckpoint: Combination",
    ),
    "a limit of no batch": ("--trainer.limit_train_batches=1e-9", "trainer: You requested"),
    "forks": ("--trainer.strategy=ddp_fork", "trainer.strategy=ddp_fork: models are trained"),
    "spawned ranks": ("--trainer.strategy=ddp_spawn", "--trainer.strategy ddp"),
    "gradients of its own": (
        "--trainer.strategy=deepspeed", "trainer.strategy=deepspeed: models are trained",
    ),
    "a sharded model": ("--trainer.strategy=fsdp", "trainer.strategy=fsdp: models are trained"),
    "no such strategy": ("--trainer.strategy=dpp", "invalid strategy"),
}  # fmt: skip


@pytest.mark.parametrize("case", OPTIONS)
def test_an_option_that_cannot_be_meant(
    case: str, fit: list[str], tables: Path, tmp_path: Path, refused: Callable
) -> None:
    word, said = OPTIONS[case]
    (tmp_path / "there").mkdir()
    word = word.replace("{there}", str(tmp_path / "there"))
    assert said in refused([*fit, f"--data.source={tables}", word])


@pytest.mark.parametrize(
    ("strategy", "options"),
    [("ModelParallelStrategy", {}), ("DDPStrategy", {"start_method": "fork"})],
)
def test_a_strategy_that_would_train_wrongly(
    strategy: str, options: dict[str, str], fit: list[str], tables: Path, tmp_path: Path,
    refused: Callable,
) -> None:  # fmt: skip
    named = {"class_path": f"lightning.pytorch.strategies.{strategy}", "init_args": options}
    (tmp_path / "s.json").write_text(json.dumps({"trainer": {"strategy": named}}))
    said = refused([*fit, f"--data.source={tables}", f"--config={tmp_path / 's.json'}"])
    assert f"trainer.strategy={strategy}: models are trained whole" in said


def test_a_process_group_s_backend_that_torch_does_not_have(
    fit: list[str], tables: Path, refused: Callable
) -> None:
    named = {"process_group_backend": "gluu"}
    ddp = {"class_path": "lightning.pytorch.strategies.DDPStrategy", "init_args": named}
    said = refused([*fit, f"--data.source={tables}", f"--trainer.strategy={json.dumps(ddp)}"])
    assert "its process_group_backend 'gluu' is not in this torch" in said


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_key_that_stands_twice_in_a_configuration(
    suffix: str, fit: list[str], tmp_path: Path, refused: Callable
) -> None:
    path = tmp_path / f"twice.{suffix}"
    texts = {"yaml": "model: {lr: 0.1}\ndata:\n  pack: true\nmodel:\n  dropout: 0.1\n"}
    texts["json"] = '{"model": {"lr": 0.1, "lr": 0.2}}'
    path.write_text(texts[suffix])
    said = refused([*fit, f"--config={path}"])
    assert "stands twice in one mapping" in said
    assert ("'model'" if suffix == "yaml" else "'lr'") in said


@pytest.mark.parametrize("error", [ValueError, RuntimeError, TypeError, AttributeError])
def test_what_our_own_code_breaks_keeps_its_traceback(
    error: type[Exception], fit: list[str], tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import careergpt.training.module as module

    def broken(*_: object) -> None:
        raise error("a bug")

    monkeypatch.setattr(module, "build_model", broken)
    with pytest.raises(error, match="a bug"):
        main([*fit, f"--data.source={tables}"])


def test_rows_of_zero_when_padding(fit: list[str], tables: Path, refused: Callable) -> None:
    words = [*fit, f"--data.source={tables}", "--data.pack=false", "--data.batch_size=0"]
    assert "data.batch_size must be 1 or more, found 0" in refused(words)


def test_a_batch_smaller_than_an_example(
    fit: list[str], tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*fit, f"--data.source={tables}", "--data.batch_tokens=20"])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "the longest example has" in error


def test_a_tokenizer_of_another_size(
    fit: list[str], tables: Path, tmp_path: Path, tiny_gpt2: Path, refused: Callable
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    for path in tiny_gpt2.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text()) | {"vocab_size": 50}
    (folder / "config.json").write_text(json.dumps(config))
    words = [*fit, f"--data.source={tables}", f"--model.pretrained={folder}"]
    assert "its tokenizer has 2048 tokens and ends texts by 0, its model 50" in refused(words)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "no json\n",
        '{"text": "a"}\n',
        '["prompt"]\n',
        '{"prompt": "a", "prompt": "b"}\n',
    ],
)
def test_prompts_that_are_none(
    text: str, model: str, quiet: list[str], tmp_path: Path, refused: Callable
) -> None:
    asked = tmp_path / "asked.jsonl"
    asked.write_text(text)
    out = tmp_path / "out.jsonl"
    words = ["predict", model, *quiet, f"--data.prompts={asked}", f"--out={out}"]
    assert "asked.jsonl" in refused(words)


def test_a_prompt_longer_than_the_context(
    model: str, quiet: list[str], tmp_path: Path, refused: Callable
) -> None:
    asked = tmp_path / "asked.txt"
    asked.write_text("a short one\n" + "nurse " * 200)
    words = ["predict", model, *quiet, f"--data.prompts={asked}", f"--out={tmp_path / 'out'}"]
    assert "and the model reads 128 with its answer" in refused(words)


@pytest.mark.parametrize(
    ("verb", "option"), [("predict", "out"), ("test", "json")], ids=["predict", "test"]
)
def test_a_result_that_cannot_be_written(
    verb: str, option: str, model: str, quiet: list[str], sample: list[str], tmp_path: Path,
    refused: Callable,
) -> None:  # fmt: skip
    words = [verb, model, *quiet, *sample]
    assert "there is no folder" in refused([*words, f"--{option}={tmp_path / 'no' / 'file'}"])
    os.mkfifo(tmp_path / "pipe")  # As /dev/null, which root would have replaced by a file.
    for there in (tmp_path, tmp_path / "pipe"):
        assert "it is a folder, a pipe or a device" in refused([*words, f"--{option}={there}"])
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict", "audit"])
def test_no_table(verb: str, model: str, quiet: list[str], refused: Callable) -> None:
    words = [] if verb == "audit" else [model, *quiet]
    assert "no table given: name one with --data.source" in refused([verb, *words])


def test_what_the_system_refuses_is_told_in_its_own_words(
    refused: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "model/careergpt.json")

    monkeypatch.setattr(cli, "_run", denied)
    told = refused(["recommend", "--position=Nurse"])
    assert "model/careergpt.json: Permission denied: change its permissions" in told
    assert "room" not in told


def test_an_unknown_verb(refused: Callable) -> None:
    assert "no verb 'train': there are fit, validate" in refused(["train"])


def test_the_same_from_a_shell(elsewhere: Path) -> None:
    done = run(["fit", "--data.source=no.csv"], cwd=elsewhere)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not list(elsewhere.iterdir())
