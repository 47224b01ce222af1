"""Logs: metrics.jsonl is whole and valid; W&B never asks, and has the configuration once."""

import json
import math
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import wandb
import yaml
from google.protobuf.message import DecodeError
from lightning.pytorch.loggers import TensorBoardLogger
from wandb.proto import wandb_internal_pb2

from careergpt.cli import main
from careergpt.training.logs import MetricsLog, Wandb, log_table, logged_in


@pytest.fixture(autouse=True)
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user whom W&B does not know."""
    import os

    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("NETRC", raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    assert text.endswith("\n")
    # Python reads NaN and Infinity, which JSON has not: here they are an error.
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


def test_each_set_of_metrics_is_one_line(tmp_path: Path) -> None:
    log = MetricsLog(str(tmp_path / "run"))
    log.log_metrics({"val/loss": 1.5}, step=3)
    log.log_metrics({"lr": 1e-5, "train/loss": 2.0}, step=4)
    assert lines(tmp_path / "run") == [
        {"step": 3, "val/loss": 1.5},
        {"step": 4, "lr": 1e-5, "train/loss": 2.0},
    ]


def test_a_second_log_appends(tmp_path: Path) -> None:
    for step in (1, 2):
        MetricsLog(str(tmp_path)).log_metrics({"a": 1.0}, step=step)
    assert [line["step"] for line in lines(tmp_path)] == [1, 2]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_has_not_are_null(tmp_path: Path, value: float) -> None:
    MetricsLog(str(tmp_path)).log_metrics({"val/loss": value, "n": 1.0}, step=0)
    assert lines(tmp_path) == [{"step": 0, "val/loss": None, "n": 1.0}]


def test_a_stranger_is_not_logged_in() -> None:
    assert not logged_in()


def test_a_key_logs_in_unless_told_to_stay_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert logged_in()
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert not logged_in()
    monkeypatch.setenv("WANDB_MODE", "online")
    assert logged_in()


def test_a_key_in_netrc_logs_in_to_its_host(
    stranger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = stranger / ".netrc"
    netrc.write_text("machine api.wandb.ai login user password " + "x" * 40 + "\n")
    netrc.chmod(0o600)
    assert logged_in()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert not logged_in()
    netrc.rename(tmp_path / "elsewhere")
    monkeypatch.delenv("WANDB_BASE_URL")
    assert not logged_in()
    monkeypatch.setenv("NETRC", str(tmp_path / "elsewhere"))
    assert logged_in()


def test_a_netrc_that_cannot_be_read_is_no_key(stranger: Path) -> None:
    (stranger / ".netrc").write_text("machine\n nonsense here\n")
    assert not logged_in()


def test_names_come_from_the_environment_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Wandb(str(tmp_path), name="run")._wandb_init["project"] == "careergpt"
    assert Wandb(str(tmp_path), name="run")._wandb_init["name"] == "run"
    monkeypatch.setenv("WANDB_PROJECT", "other")
    monkeypatch.setenv("WANDB_NAME", "mine")
    assert Wandb(str(tmp_path), name="run")._wandb_init["project"] == "other"
    assert Wandb(str(tmp_path), name="run")._wandb_init["name"] == "mine"


def records(path: Path) -> list[Any]:
    """What W&B wrote of a run for a later sync; its process may be slow to write the end."""
    for _ in range(100):
        with suppress(DecodeError, struct.error):
            found = parsed(path.read_bytes())
            if found and found[-1].HasField("exit"):
                return found
        time.sleep(0.2)
    raise AssertionError(f"{path} has no end")


def parsed(data: bytes) -> list[Any]:
    """The records of a file: a header of 7 bytes, then LevelDB's log format."""
    place, parts, found = 7, b"", []
    while place + 7 < len(data):
        if 32768 - place % 32768 < 7:  # No header fits into the rest of the block.
            place += 32768 - place % 32768
        _, length, kind = struct.unpack_from("<IHB", data, place)
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # A whole record, or a record's last part.
            found.append(wandb_internal_pb2.Record.FromString(parts))  # type: ignore[attr-defined]
            parts = b""
    return found


@pytest.fixture
def fit(
    tables: Path, tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """A fit of a few steps with its evidence, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return [
        "fit", f"--model.pretrained={tiny_gpt2}", f"--data.source={tables}",
        f"--data.cache={tmp_path / 'cache'}", "--data.processes=1", "--data.batch_tokens=512",
        "--trainer.accelerator=cpu", "--trainer.max_epochs=1", "--trainer.log_every_n_steps=1",
        "--samples.max_new_tokens=3", "--trainer.enable_progress_bar=false", "--titles.limit=10",
        "--rankings.limit=10", "--model.lr=0.002",
    ]  # fmt: skip


def into(folder: Path) -> str:
    return f"--trainer.default_root_dir={folder}"


def configured(found: list[Any]) -> list[tuple[list[str], Any]]:
    """The configuration's keys and values, as often as they were sent."""
    return [
        (list(item.nested_key) or [item.key], json.loads(item.value_json))
        for record in found
        for part in (record.config, record.run.config)
        for item in part.update
        if (list(item.nested_key) or [item.key])[0] != "_wandb"
    ]


def logged(found: list[Any]) -> set[str]:
    items = (item for record in found for item in record.history.item)
    return {"/".join(item.nested_key) or item.key for item in items}


EVIDENCE = {"titles/worth", "titles/perplexity_trigram", "rankings/path/temperature"}


def test_a_stranger_s_run_goes_offline_with_its_configuration_once_and_nested(
    fit: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("W&B asked"))
    folder = tmp_path / "a-run"
    main([*fit, into(folder)])
    assert (folder / "model" / "config.json").exists()
    (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    found = records(path)
    keys = [key for key, _ in configured(found)]
    assert all(len(key) == 1 and "." not in key[0] and "/" not in key[0] for key in keys)
    assert {"data", "model", "trainer"} <= {key[0] for key in keys}
    values = {key[0]: value for key, value in configured(found)}
    assert values["model"]["lr"] == 0.002
    assert values["trainer"]["max_epochs"] == 1
    assert values["data"]["tasks"]["path"]["prompt"] == "Career path: {titles[0]}"
    assert len(keys) == len({key[0] for key in keys})
    assert {"val/loss", "train/loss", "train/tokens_per_second"} | EVIDENCE <= logged(found)
    assert {"samples/path", "samples/nrows"} <= logged(found)  # The table of answers.
    (run,) = (record.run for record in found if record.HasField("run"))
    assert (run.display_name, run.project) == ("a-run", "careergpt")
    assert not (tmp_path / "wandb").exists()
    assert {name for line in lines(folder) for name in line} >= EVIDENCE
    # It goes on, and is tested, as the same run of W&B's.
    main([*fit, into(folder), "--ckpt_path=last", "--trainer.max_epochs=2"])
    tested = ["test", f"--config={folder / 'config.yaml'}", "--trainer.logger=true"]
    main([*tested, f"--model.pretrained={folder / 'model'}", "--queries=5"])
    paths = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"), key=lambda p: p.stat().st_mtime)
    runs = [next(r.run for r in records(path) if r.HasField("run")) for path in paths]
    assert [one.run_id for one in runs] == [run.run_id] * 3
    assert {"test/loss", "test/path/mrr", "test/rankings/nrows"} <= logged(records(paths[-1]))


def test_every_logger_has_the_configuration_and_the_evidence_and_a_table_where_it_can(
    fit: list[str], tmp_path: Path
) -> None:
    own = {"save_dir": str(tmp_path), "project": "demo", "group": "g", "tags": ["a", "b"]}
    csv = {"class_path": "CSVLogger", "init_args": {"save_dir": str(tmp_path / "csv")}}
    theirs = {"class_path": "WandbLogger", "init_args": {**own, "mode": "offline"}}
    main([*fit, into(tmp_path / "run"), f"--trainer.logger={json.dumps([csv, theirs])}"])
    (csv_folder,) = tmp_path.glob("csv/lightning_logs/version_*")
    assert yaml.safe_load((csv_folder / "hparams.yaml").read_text())["model"]["lr"] == 0.002
    header = (csv_folder / "metrics.csv").read_text().splitlines()[0].split(",")
    assert set(header) >= EVIDENCE
    wandb.finish()  # At a process's end W&B does it.
    (path,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    found = records(path)
    assert dict((key[0], value) for key, value in configured(found))["model"]["lr"] == 0.002
    assert logged(found) >= {"samples/nrows"} | EVIDENCE
    (run,) = (record.run for record in found if record.HasField("run"))
    assert (run.run_group, run.project, list(run.tags)) == ("g", "demo", ["a", "b"])


def test_our_own_logger_takes_what_w_and_b_takes(tmp_path: Path) -> None:
    begun = Wandb(str(tmp_path), group="g", tags=["a"], notes="n", offline=True)._wandb_init
    assert (begun["group"], begun["tags"], begun["notes"]) == ("g", ["a"], "n")
    assert begun["mode"] == "offline"


def test_a_table_reaches_tensorboard_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    board = MagicMock(spec=TensorBoardLogger)
    log_table([board, MetricsLog("x")], "samples", ["prompt", "text"], [["a|b", "c\nd"]])
    board.experiment.add_text.assert_called_once_with(
        "samples", "prompt | text\n--- | ---\na\\|b | c d"
    )
