"""The script for a GPU: every step is run and told, whatever became of the one before it."""

import json
from importlib import import_module
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _benchmarks_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))


def test_a_step_that_fails_or_lasts_keeps_no_other_from_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import gpu

    def steps(device: str, quick: bool, out: Path) -> dict[str, list[str]]:
        write = f"open({str(out / 'training.json')!r}, 'w').write('[1]'); print('| a | 2 |')"
        (out / "fit-bf16").mkdir()
        rows = '{"val/loss": 3.0}\n{"train/loss": 9.0}\n{"val/loss": 2.0}\n'
        (out / "fit-bf16" / "metrics.jsonl").write_text(rows)
        return {
            "tests": ["-c", "raise SystemExit('no kernel')"],
            "training": ["-c", write],
            "fit bf16": ["-c", "pass"],
            "slow": ["-c", "import time; time.sleep(60)"],
        }

    monkeypatch.setattr(gpu, "steps", steps)
    assert gpu.main(["--device", "cpu", "--seconds", "3", "--out", str(tmp_path)]) == 1
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert [step["code"] for step in found["steps"]] == [1, 0, 0, None]
    assert found["steps"][1]["found"] == [1]
    table = (tmp_path / "gpu.md").read_text()
    for said in ("fails: 1", "no kernel", "| a | 2 |", "at the end 2.000", "out of time"):
        assert said in table, table


@pytest.mark.parametrize(("device", "quick"), [("cpu", True), ("cuda", False)])
@pytest.mark.parametrize(
    ("name", "next_step"),
    [("training", "measured"), ("generation", "models"), ("candidates", "models")],
)
def test_each_script_takes_the_words_that_it_is_given(
    name: str, next_step: str, device: str, quick: bool,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    import gpu

    words = gpu.steps(device, quick, tmp_path)[name]
    module = import_module(name)

    def parsed(*_: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(module, next_step, parsed)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "")
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(InterruptedError):
        module.main(*([words[1:]] if name == "training" else []))
