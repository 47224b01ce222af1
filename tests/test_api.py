"""The public API, as in a notebook: fit, load, recommend, generate, score, audit and compare."""

import json
import math
import shutil
from pathlib import Path

import pytest

import careergpt


@pytest.fixture(scope="module")
def model(taught: careergpt.Run) -> careergpt.Model:
    return careergpt.load(taught.model, device="cpu")


def test_a_fit_returns_its_run_and_prints_nothing(
    taught: careergpt.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (taught.model / "model.safetensors").exists()
    assert any("val/loss" in row for row in taught.metrics)
    assert "The model is in" in taught.text
    again = careergpt.fit(taught.folder / "config.yaml", ckpt_path="last")
    assert again.folder == taught.folder
    assert "this run is finished" in again.text
    assert capsys.readouterr().out == ""


def test_a_person_is_recommended_positions_and_skills(model: careergpt.Model) -> None:
    found = model.recommend(position="Registered nurse", skills=["triage"])
    assert 0 < sum(one.probability for one in found.positions) <= 1 + 1e-9
    assert found.person.skills == ("triage",)
    assert model.recommend(history="Data clerk; Data analyst").positions


def test_a_person_s_own_titles_are_ranked_from_a_list_as_from_a_file(
    taught: careergpt.Run, tmp_path: Path
) -> None:
    titles = ["Registered nurse", "Fire captain", "Welder"]
    (tmp_path / "titles.txt").write_text("\n".join(titles), encoding="utf-8")
    given = [titles, tmp_path / "titles.txt"]
    models = [careergpt.load(taught.model, device="cpu", candidates=some) for some in given]
    found = [model.recommend(skills="triage").positions for model in models]
    assert sorted(one.title for one in found[0]) == sorted(titles)
    assert found[0] == found[1]


def test_answers_are_in_the_prompts_order_and_as_long_as_said(model: careergpt.Model) -> None:
    prompts = [f"Which skills does a nurse {number} need?" for number in range(20)]
    answers = model.generate(prompts, greedy=True)
    assert [answer.prompt for answer in answers] == prompts
    assert max(answer.n_tokens for answer in answers) == 4  # As the folder says.
    assert max(a.n_tokens for a in model.generate(prompts[:2], max_new_tokens=2)) == 2


def test_it_says_what_it_was_taught_to_answer(model: careergpt.Model) -> None:
    title = model.candidates("titles").names[0]
    asked = model.questions()
    assert len(asked) == 4
    assert f"Tell me about the qualifications required for a {title}." in asked
    assert any(model.candidates("skills").names[1] in question for question in asked)


def test_a_task_of_no_weight_was_not_taught(taught: careergpt.Run, tmp_path: Path) -> None:
    folder = shutil.copytree(taught.model, tmp_path / "model")
    settings = json.loads((folder / "careergpt.json").read_text(encoding="utf-8"))
    settings["tasks"]["describe"]["weight"] = 0
    (folder / "careergpt.json").write_text(json.dumps(settings), encoding="utf-8")
    asked = careergpt.load(folder, device="cpu").questions()
    assert len(asked) == 3
    assert not any(question.startswith("Tell me about") for question in asked)


def test_a_score_is_that_of_the_answer_s_own_log_probability(model: careergpt.Model) -> None:
    score = model.score("Which skills does a welder need?", "grinding")
    assert score.perplexity == pytest.approx(math.exp(score.nats / score.tokens))
    longer = model.score("Which skills does a welder need?", "grinding, arc welding")
    assert longer.nats > score.nats
    with pytest.raises(careergpt.InputError, match="128 tokens"):
        model.score("Which skills?", "grinding " * 200)
    with pytest.raises(careergpt.InputError, match="give both"):
        model.score("Which skills?", "")


def test_an_audit_returns_its_report(small_data: dict[str, object]) -> None:
    report = careergpt.audit(data=small_data)
    assert (report.read, report.kept) == (90, 90)


def test_a_comparison_is_returned_and_its_report_written(
    taught: careergpt.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    found = careergpt.compare(
        taught.folder / "baseline", taught.model, taught.folder / "config.yaml",
        device="cpu", answers=2, decoding={"max_new_tokens": 3},
    )  # fmt: skip
    assert found.findings
    assert (taught.folder / "comparison" / "report.html").exists()
    assert capsys.readouterr().out == ""


def test_an_export_returns_how_far_both_agree(
    model: careergpt.Model, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = careergpt.export(model.folder, tmp_path / "hf", limit=1)
    assert found.equal == found.answers > 0
    assert found.gap == 0
    assert careergpt.export(model.folder, tmp_path / "two", limit=2).answers > found.answers
    assert (tmp_path / "hf" / "model.safetensors").exists()
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"data": {"source": "nowhere.csv"}}, "nowhere.csv"),
        ({"data": {"sourse": "x"}}, "did you mean --data.source"),
        ({"config": "none.yaml"}, "none.yaml"),
    ],
)
def test_a_mistake_is_an_error_in_one_line(options: dict[str, object], said: str) -> None:
    with pytest.raises(careergpt.InputError, match=said) as caught:
        careergpt.audit(**options)
    assert "\n" not in str(caught.value)


def test_the_function_and_the_room_of_one_name_are_both_found() -> None:
    from careergpt.compare.comparison import Comparison

    assert careergpt.compare.__annotations__["return"] in ("Comparison", Comparison)
    assert set(careergpt.__all__) <= set(dir(careergpt))
    assert careergpt.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = careergpt.nothing
