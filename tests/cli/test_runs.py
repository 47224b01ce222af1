"""Laws of a run's folder: one run at a time, none overwrites another, all ranks share it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from careergpt.cli import main
from careergpt.cli.runs import RunLock, run_folder
from careergpt.errors import InputError

FURTHER = {
    "torchrun, its second node": {"RANK": "1", "LOCAL_RANK": "0", "GROUP_RANK": "1"},
    "Lightning, its second node": {"NODE_RANK": "1"},
    "SLURM, its second task": {"SLURM_PROCID": "1", "SLURM_LOCALID": "0", "SLURM_NTASKS": "2"},
    "a second process here": {"LOCAL_RANK": "1"},
    "mpirun": {"OMPI_COMM_WORLD_RANK": "3"},
}


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A new folder that another run holds: it prepares, and has written nothing yet."""
    folder = tmp_path / "held"
    lock = RunLock()
    lock.take(folder)
    # Kept alive by its own reference from the fork hook.
    return folder


@pytest.mark.parametrize("case", FURTHER)
def test_the_first_of_all_processes_alone_holds_the_lock(
    case: str, locked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, number in FURTHER[case].items():
        monkeypatch.setenv(name, number)
    RunLock().take(locked)
    for name in FURTHER[case]:
        monkeypatch.setenv(name, "0")
    with pytest.raises(InputError, match="in use by another run"):
        RunLock().take(locked)


@pytest.mark.parametrize(
    ("environment", "n_nodes"), [({"WORLD_SIZE": "2"}, 1), ({"SLURM_NTASKS": "2"}, 1), ({}, 2)]
)
def test_processes_that_cannot_agree_on_a_folder_are_told_to_name_one(
    environment: dict[str, str], n_nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, number in environment.items():
        monkeypatch.setenv(name, number)
    with pytest.raises(InputError, match="name a folder that all of them reach"):
        run_folder(None, "demo", n_nodes)
    assert run_folder("shared/run", "demo", n_nodes) == Path("shared/run")
    with pytest.raises(InputError, match="default_root_dir is empty"):
        run_folder("", "demo", n_nodes)


def test_folders_that_a_lock_made_for_nothing_are_gone(tmp_path: Path) -> None:
    lock = RunLock()
    lock.take(tmp_path / "runs" / "a")
    (tmp_path / "runs" / "other").touch()
    lock.free()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["other"]


def test_a_second_run_is_refused_before_it_looks_at_anything(
    short: list[str], locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["--ckpt_path=last"]):
        with pytest.raises(SystemExit, match="2"):
            main(["fit", *short, "--data.source=nowhere", f"--trainer.default_root_dir={locked}"])
        assert "is in use by another run" in capsys.readouterr().err, more
    assert not list(locked.iterdir())


@pytest.fixture
def finished(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "finished"))


def _nothing(folder: Path, other: Path) -> list[str]:
    return []


def _only_the_configuration_is_gone(folder: Path, other: Path) -> list[str]:
    (folder / "config.yaml").unlink()
    return []


def _checkpoints_are_gone(folder: Path, other: Path) -> list[str]:
    shutil.rmtree(folder / "checkpoints")
    return ["--ckpt_path=last"]


def _another_run_s_checkpoint(folder: Path, other: Path) -> list[str]:
    return [f"--ckpt_path={other / 'checkpoints' / 'resume.ckpt'}"]


def _an_interval_that_is_refused(folder: Path, other: Path) -> list[str]:
    return ["--ckpt_path=last", "--trainer.max_epochs=2", "--trainer.val_check_interval=5000"]


@pytest.mark.parametrize(
    "begin",
    [
        _nothing,
        _only_the_configuration_is_gone,
        _checkpoints_are_gone,
        _another_run_s_checkpoint,
        _an_interval_that_is_refused,
    ],
)
def test_no_refused_run_touches_what_a_finished_one_left(
    begin: Callable[[Path, Path], list[str]], short: list[str], finished: Path, run: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = ["fit", *short, *begin(finished, run), f"--trainer.default_root_dir={finished}"]
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert capsys.readouterr().err.count("\n") == 1
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before
