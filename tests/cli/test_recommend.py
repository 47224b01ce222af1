"""`recommend` end to end: an answer, or one line that says why there is none."""

import io
import json
import random
import shutil
import string
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from careergpt.cli import main
from careergpt.data.taxonomies import rows_of
from careergpt.data.taxonomy_files import Occupation
from careergpt.data.text_files import read_objects
from careergpt.data.whole_files import write_lines
from careergpt.errors import InputError
from careergpt.generation.sampling import Decoding
from careergpt.recommend.rankings import OCCUPATIONS
from careergpt.recommend.recommendation import as_json
from careergpt.recommend.recommender import Recommender
from tests.processes import start

Ask = Callable[..., str]
CAREERS = Path(__file__).parents[2] / "configs" / "careers.yaml"
NURSE = ["--position=Registered nurse", "--skills=patient care; SQL", "--history=Nursing assistant"]


@pytest.fixture
def words(model: str) -> list[str]:
    """What every question is asked with."""
    return [model, "--device=cpu", "--decoding.max_new_tokens=6", "--explain=1"]


@pytest.fixture
def ask(words: list[str], capsys: pytest.CaptureFixture[str], elsewhere: Path) -> Ask:
    """What is printed for these options; nothing else is said, and nothing is left behind."""

    def asked(*options: str) -> str:
        capsys.readouterr()
        main(["recommend", *words, *options])
        out, error = capsys.readouterr()
        assert error == ""
        assert not list(elsewhere.iterdir())
        return out

    return asked


@pytest.fixture
def refused(words: list[str], capsys: pytest.CaptureFixture[str], elsewhere: Path) -> Ask:
    """The one line that is said, once it is sure that this is all that happened."""

    def asked(*options: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(["recommend", *words, *options])
        out, error = capsys.readouterr()
        assert caught.value.code == 2
        assert out == ""
        assert error.startswith("error: ")
        assert error.endswith("\n")
        assert error.count("\n") == 1
        assert len(error) < 700
        assert not list(elsewhere.iterdir())
        return error

    return asked


@pytest.fixture
def told(ask: Ask) -> Callable[..., list[dict[str, Any]]]:
    """The answers, from JSON."""

    def constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    def asked(*options: str) -> list[dict[str, Any]]:
        lines = ask("--format=json", *options).splitlines()
        return [json.loads(line, parse_constant=constant) for line in lines]

    return asked


@pytest.fixture
def people(tmp_path: Path) -> Callable[..., str]:
    """The option of a file with these lines."""

    def written(*lines: Any) -> str:
        path = tmp_path / "people.jsonl"
        content = (line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        path.write_bytes(b"\n".join(content) + b"\n")
        return f"--input={path}"

    return written


def positions(answer: dict[str, Any]) -> dict[str, float]:
    return {one["title"]: one["probability"] for one in answer["positions"]}


def test_an_answer_has_positions_skills_qualifications_and_reasons(
    told: Callable, run: Path
) -> None:
    (found,) = told(*NURSE, "--top=5", "--explain=2")
    assert list(found) == [
        "person", "notes", "taken_for", "candidates", "ranked_by", "positions", "skills_for",
        "skills", "qualifications", "shortcuts",
    ]  # fmt: skip
    assert found["person"]["history"] == ["Nursing assistant"]
    known = json.loads((run / "model" / "careergpt.json").read_text())["candidates"]
    titles, skills = (known[name]["names"] for name in ("titles", "skills"))
    assert found["candidates"] == len(titles)
    shares = list(positions(found).values())
    assert len(shares) == 5
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) < 1
    assert set(positions(found)) <= set(titles) - {"Registered nurse"}
    for number, one in enumerate(found["positions"]):
        assert set(one["has"]) | set(one["lacks"]) <= set(skills)
        assert not set(one["has"]) & set(one["lacks"])
        assert len(one["raised_by"]) == (2 if number < 2 else 0)
    assert {e["skill"] for e in found["positions"][0]["raised_by"]} == {"patient care", "SQL"}
    assert found["skills_for"] == found["qualifications"]["position"] == "Registered nurse"
    assert {skill["skill"] for skill in found["skills"]} <= set(skills)
    assert found["qualifications"]["written_by"] == "model"


def test_the_text_says_what_the_json_says(ask: Ask, told: Callable) -> None:
    shown, (found,) = ask(*NURSE), told(*NURSE)
    lines = shown.splitlines()
    assert lines[0].startswith("For position: Registered nurse; history: Nursing assistant; skills")
    assert any(f"Next positions, of {found['candidates']} candidates (" in line for line in lines)
    for number, one in enumerate(found["positions"], 1):
        assert sum(line.startswith(f"{number:3}. {one['title']} ") for line in lines) >= 1
        assert f"{one['probability']:6.1%}" in shown
    assert f"Skills to have as {found['skills_for']}:" in lines
    assert "(written by the model, " in shown
    assert shown.count("Next positions") == 1


def test_python_gets_the_answer_that_the_command_line_prints(told: Callable, run: Path) -> None:
    recommender = Recommender.load(
        str(run / "model"), device="cpu", explain=1, decoding=Decoding(max_new_tokens=6)
    )
    found = recommender.recommend(
        position="Registered nurse", skills=["patient care", "SQL"], history="Nursing assistant"
    )
    assert as_json(found) == told(*NURSE)[0]
    with pytest.raises(InputError, match="recommend: nothing is told"):
        recommender.recommend(position=" ")
    # Without another way of writing, the folder's own counts, as on the command line.
    settings = json.loads((run / "model" / "careergpt.json").read_text())["decoding"]
    assert Recommender.load(str(run / "model"))._decoding == Decoding(**settings)


def test_the_same_question_gets_the_same_answer(ask: Ask) -> None:
    assert ask(*NURSE) == ask(*NURSE)
    assert ask(*NURSE, "--format=json") == ask(*NURSE, "--format=json")


@pytest.mark.parametrize(
    "options",
    [
        ["--position=Paralegal"],
        ["--skills=sql, excel"],
        ["--history=Paralegal; Farm worker"],
    ],
)
def test_one_of_the_three_is_enough(told: Callable, options: list[str]) -> None:
    (found,) = told(*options)
    assert len(found["positions"]) == 10
    assert found["skills_for"] == (found["person"]["position"] or next(iter(positions(found))))


def test_case_space_and_punctuation_make_no_difference(told: Callable, run: Path) -> None:
    known = json.loads((run / "model" / "careergpt.json").read_text())["candidates"]
    skills = known["skills"]["names"][:2]
    first = told(
        "--position=Registered nurse", f"--skills={'; '.join(skills)}", "--history=Farm worker"
    )
    other = told(
        "--position= REGISTERED-NURSE!",
        f"--skills={' ;; '.join(map(str.upper, skills))}.",
        "--history=farm  Worker;",
    )
    assert other == first
    assert first[0]["notes"] == []


@pytest.mark.parametrize(
    ("title", "note"),
    [
        ("Registred nurse", "'Registred nurse' is taken for 'Registered nurse'"),
        ("Lion tamer", "'Lion tamer' is none of the candidates"),
        ("#hashtag", "is none of the candidates"),
        ("a: b", "'a: b' is none of the candidates"),
        ("<|endoftext|>", "is none of the candidates"),
        ("🚀 pilot 🚀", "is none of the candidates"),
        ("مهندس برمجيات", "is none of the candidates"),
        ("lion\x00tamer", "'liontamer' is none of the candidates"),
        ("{position}", "is none of the candidates"),
    ],
)
def test_an_unknown_title_is_answered_and_said(ask: Ask, title: str, note: str) -> None:
    shown = ask(f"--position={title}")
    assert note in shown
    assert "Next positions" in shown


@pytest.mark.parametrize(
    "skills",
    [
        "#python, #sql",
        "null, ~, yes",
        "🚀 science, ❤️‍🔥, 👩🏽‍⚕️",
        "عربي; עברית; \u202edesrever",
        "<|endoftext|>, sql<|endoftext|>",
        "nu\x00rse; \x1b[31mred",
        "; ".join(f"made-up skill {n}" for n in range(200)),
        ", ".join(["sql"] * 200),
        "\\n, \\ud800, %s {0} $HOME",
    ],
    ids=lambda skills: ascii(skills[:30]),
)
def test_odd_skills_are_answered(told: Callable, skills: str) -> None:
    (found,) = told(f"--skills={skills}")
    assert len(found["positions"]) == 10
    assert found["person"]["skills"]


@pytest.mark.parametrize(
    "options",
    [
        ["--position="],
        ["--skills=,;|"],
        ["--skills=", "--history=;;"],
        ["--position=N/A", "--skills=🚀"],
        [],
    ],
    ids=repr,
)
def test_where_nothing_is_told_that_is_said(refused: Ask, options: list[str]) -> None:
    assert "nothing is" in refused(*options)


BAD = {
    "a title of 201 characters": ([f"--position={'n' * 201}"], "200 are the most"),
    "half a character": (["--position=half \ud800"], "half a character"),
    "bytes that are no UTF-8": (["--skills=caf\udce9"], "half a character"),
    "a title that leaves no room": (["--position=" + "護" * 150], "leaves the model no room"),
    "a skill that leaves no room": (["--skills=" + "護" * 150], "leaves the model no room"),
    "no position at all": ([*NURSE, "--top=0"], "--top must be 1 or more, found 0"),
    "a path of no step": ([*NURSE, "--steps=0"], "steps must be 1 to 10, found 0"),
    "a goal that is none": ([*NURSE, "--goal=Space pirate"], "the goal 'Space pirate'"),
    "fewer than none": ([*NURSE, "--explain=-1"], "--explain must be 0 or more, found -1"),
    "a number of words": ([*NURSE, "--top=ten"], "ten"),
    "another format": ([*NURSE, "--format=xml"], "xml"),
    "another device": ([*NURSE, "--device=abacus"], "abacus"),
    "an unknown option": ([*NURSE, "--skill=sql"], "skill"),
    "a temperature of 0": ([*NURSE, "--decoding.temperature=0"], "temperature must be above 0"),
    "a file and a position": (["--input=x.jsonl", "--position=Nurse"], "--input and --position"),
    "a file and skills": (["--input=x.jsonl", "--skills=sql"], "--input and --skills"),
    "a file that is not there": (["--input=x.jsonl"], "x.jsonl"),
    "a folder of people": (["--input=/"], "/"),
    "a list that is not there": ([*NURSE, "--candidates=x.csv"], "x.csv"),
    "a folder of titles": ([*NURSE, "--candidates=/"], "/"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_meant_is_one_line(refused: Ask, case: str) -> None:
    options, said = BAD[case]
    assert said in refused(*options)


def test_a_file_is_answered_a_line_at_a_time_in_its_order(
    told: Callable, ask: Ask, people: Callable
) -> None:
    asked = [
        {"position": "Registered nurse"},
        {"skills": ["SQL", "python"], "history": "Paralegal; Farm worker"},
        {"history": ["Chef <|endoftext|>", "\u202eرئيس", "🚀"], "skills": ["\x00", "sql"]},
    ]
    found = told(people(*asked))
    assert [one["person"]["position"] for one in found] == ["Registered nurse", "", ""]
    assert found[0] == told("--position=Registered nurse")[0]
    assert found[1]["person"]["history"] == ["Paralegal", "Farm worker"]
    assert all(len(one["positions"]) == 10 for one in found)
    assert ask(people(*asked)).count("Next positions") == 3


def test_standard_input_is_a_file(
    told: Callable, refused: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    send(b'{"position": "Paralegal"}\n{"skills": "sql"}\n')
    assert [one["person"]["position"] for one in told("--input=-")] == ["Paralegal", ""]
    send(b'{"position": "Paralegal"}\n{"skil')
    assert "standard input:2: not JSON" in refused("--input=-")
    send(b"")
    assert "standard input is empty" in refused("--input=-")


LINES = {
    "no JSON": (b"Nurse", "not JSON"),
    "a key twice": (b'{"position": "Nurse", "position": "Cook"}', "it says 'position' twice"),
    "another key": (b'{"title": "Nurse"}', "'title' is none of"),
    "nothing told": (b"{}", "nothing is told"),
    "half a character": (rb'{"position": "\ud800"}', "half a character"),
    "bytes": (b"\xff\xfe\x00", "people.jsonl"),
    "deep": (b"[" * 50_000, "not JSON"),
}


@pytest.mark.parametrize("case", LINES)
def test_a_bad_line_is_named_before_anyone_is_answered(
    refused: Ask, people: Callable, case: str
) -> None:
    line, said = LINES[case]
    assert said in refused(people({"position": "Paralegal"}, line))


def test_a_person_who_cannot_be_answered_is_named_before_anyone_is(
    refused: Ask, people: Callable
) -> None:
    asked = [{"position": "Paralegal"}, {"position": "護" * 150}]
    assert "leaves the model no room" in refused(people(*asked))


def test_five_megabytes_of_one_person_are_answered(
    told: Callable, people: Callable, refused: Ask
) -> None:
    chance = random.Random(0)
    skills = ["".join(chance.choices(string.ascii_lowercase, k=195)) for _ in range(26_000)]
    option = people({"skills": ["sql", *skills], "position": "Paralegal"})
    assert Path(option.partition("=")[2]).stat().st_size > 5_000_000
    (found,) = told(option, "--explain=0")
    assert len(found["positions"]) == 10
    assert any("do not fit into the model" in note for note in found["notes"])
    assert "in position has 5,000,000 characters" in refused(people({"position": "n" * 5_000_000}))


def test_five_megabytes_of_garbage_are_one_line(refused: Ask, people: Callable) -> None:
    chance = random.Random(0)
    assert "people.jsonl" in refused(people(chance.randbytes(5_000_000)))
    lines = (f"{chance.random()} garbage {n}".encode() for n in range(150_000))
    assert "people.jsonl:1: " in refused(people(*lines))
    assert "people.jsonl:1: " in refused(people(b"x" * 5_000_000))


LISTS = {
    "titles.txt": "Lion tamer\nParalegal\n\nPARALEGAL\n  Diver  \n",
    "esco.csv": 'conceptUri,preferredLabel,altLabels\nu/1,Lion tamer,"a, b"\nu/2,Paralegal,\n'
    "u/3,Diver,x\n",
    "onet.txt": "O*NET-SOC Code\tTitle\tDescription\n11-1011.00\tLion tamer\tTames, feeds, walks.\n"
    '23-2011.00\tParalegal\tAssists lawyers, "often".\n49-9092.00\tDiver\tDives; rises.\n',
    "alternate.tsv": "Code\tAlternate Title\n1\tLion tamer\n1\tParalegal\n2\tDiver\n2\tdiver\n",
    "one.csv": "Beruf\nLion tamer\nParalegal\nDiver\n",
    "list.jsonl": '{"position_title": "Lion tamer"}\n{"position_title": "Paralegal"}\n'
    '{"position_title": "Diver"}\n',
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_titles_takes_the_place_of_the_folder_s(
    told: Callable, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text(LISTS[name], encoding="utf-8")
    listed = f"--candidates={tmp_path / name}"
    (found,) = told("--skills=sql, python", listed)
    assert set(positions(found)) == {"Lion tamer", "Paralegal", "Diver"}
    assert found["candidates"] == 3
    assert sum(positions(found).values()) == pytest.approx(1)
    (moved,) = told("--position=paralegal", listed)
    assert set(positions(moved)) == {"Lion tamer", "Diver"}
    assert sum(positions(moved).values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.txt", "", "empty.txt"),
        ("blank.txt", " \n\t\n", "blank.txt"),
        ("marks.txt", "---\n!!\n", "holds no name"),
        ("head.csv", "title\n", "head.csv has a header and no rows"),
        ("blank.csv", "title,x\n ,1\n", "holds no name"),
        ("other.csv", "code,label\n1,Nurse\n", "has no column of titles (it has: code, label)"),
        ("made.parquet", "no parquet", "made.parquet"),
        ("long.txt", "Nurse\n" + "🚀" * 200 + "a", "leaves the model no room"),
    ],
)
def test_a_list_that_is_none_is_one_line(
    refused: Ask, tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert said in refused(*NURSE, f"--candidates={tmp_path / name}")


def test_the_only_title_left_is_certain_and_nothing_changes_it(
    told: Callable, tmp_path: Path
) -> None:
    (tmp_path / "two.txt").write_text("Diver\nParalegal\n")
    listed = f"--candidates={tmp_path / 'two.txt'}"
    (found,) = told("--position=Diver", "--skills=sql, python", listed)
    (one,) = found["positions"]
    assert (one["title"], one["probability"]) == ("Paralegal", 1.0)
    assert [effect["log_odds"] for effect in one["raised_by"]] == [0.0, 0.0]
    (tmp_path / "two.txt").write_text("Diver\n")
    assert told("--position=Diver", "--skills=sql", listed)[0]["positions"] == []


def test_a_plain_model_ranks_a_list_and_names_what_it_lacks(
    tiny_gpt2: Path, ask: Ask, told: Callable, refused: Ask, tmp_path: Path
) -> None:
    plain = f"--model.pretrained={tiny_gpt2}"
    assert "names no candidates: fit writes them into its model folder" in refused(*NURSE, plain)
    (tmp_path / "titles.txt").write_text(LISTS["titles.txt"])
    listed = f"--candidates={tmp_path / 'titles.txt'}"
    (found,) = told(*NURSE, plain, listed)
    assert set(positions(found)) == {"Lion tamer", "Paralegal", "Diver"}
    assert found["skills"] == []
    assert "Skills to have" not in ask(*NURSE, plain, listed)


@pytest.mark.parametrize(
    ("name", "said"),
    [("./no/model", "no such model folder"), ("{there}", "holds no model"), ("no-one", "no-one")],
)
def test_a_model_that_is_not_there_is_one_line(
    refused: Ask, tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "there").mkdir()
    name = name.replace("{there}", str(tmp_path / "there"))
    assert said in refused(*NURSE, f"--model.pretrained={name}")


DAMAGED = {
    "no JSON": "{",
    "bytes": "\udcff\udcfe",
    "a list": "[1]",
    "tasks that are a list": {"tasks": ["path"]},
    "tasks of nothing": {"tasks": None},
    "no tasks": {"tasks": {}},
    "a task without a completion": {"tasks": {"path": {"prompt": "a"}}},
    "a task of numbers": {"tasks": {"path": {"prompt": 1, "completion": 2}}},
    "a weight of words": {
        "tasks": {"path": {"prompt": "a", "completion": "{titles}", "weight": "b"}}
    },
    "a path without titles": {"tasks": {"path": {"prompt": "a", "completion": "{skills}"}}},
    "candidates of nothing": {"candidates": None},
    "a temperature of 0": {"calibration": {"path": {"surface": 0, "temperature": 0}}},
    "a blend of words": {"blend": {"path": {"peer": "markov", "weight": "most"}}},
    "decoding of words": {"decoding": {"temperature": "warm"}},
    "decoding of a list": {"decoding": [1]},
    "decoding that cannot be": {"decoding": {"top_p": 3}},
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_folder_is_one_line(run: Path, refused: Ask, tmp_path: Path, case: str) -> None:
    folder = tmp_path / "model"
    damage: Any = DAMAGED[case]
    shutil.copytree(run / "model", folder)
    path = folder / "careergpt.json"
    if isinstance(damage, dict):
        damage = json.dumps({**json.loads(path.read_text()), **damage})
    path.write_bytes(damage.encode("utf-8", "surrogateescape"))
    refused(*NURSE, f"--model.pretrained={folder}")


def test_the_folder_s_way_of_writing_counts_unless_another_is_typed(
    run: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(run / "model", folder)
    path = folder / "careergpt.json"
    settings = json.loads(path.read_text())
    settings["decoding"] |= {"greedy": True, "max_new_tokens": 3}
    path.write_text(json.dumps(settings))

    def written(*options: str) -> str:
        words = [*NURSE, "--device=cpu", "--format=json", "--explain=0", *options]
        main(["recommend", f"--model.pretrained={folder}", *words])
        return str(json.loads(capsys.readouterr().out)["qualifications"]["text"])

    short, longer = written(), written("--decoding.max_new_tokens=9")
    assert longer.startswith(short)
    assert len(longer) > len(short)
    assert written("--decoding.greedy=false", "--decoding.seed=5") != short


def test_who_reads_no_further_gets_no_complaint(run: Path, people: Callable) -> None:
    words = [f"--model.pretrained={run / 'model'}", "--device=cpu", "--decoding.max_new_tokens=4"]
    asked = people(*[{"position": "Paralegal"}] * 3)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    program = start(["recommend", *words, asked], anew=True, **pipes)
    assert program.stdout is not None
    program.stdout.close()
    assert program.stderr is not None
    assert program.stderr.read() == ""
    assert program.wait(timeout=120) == 0


def test_a_model_that_learned_a_taxonomy_reads_its_other_titles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    welds, cooks = (tuple(f"{what} {n}" for n in "abcdef") for what in ("welding", "baking"))
    # Several of each, for one alone is a list by any configuration.
    cook, others, some = "Cook, Line", ("Torch hand", "Metal joiner"), ("brazing, dry", "filing")
    welder = Occupation("Welder", "Join metal parts.", others, welds, "51", (cook, "Smith"))
    work = [
        welder._replace(skill_level="2", optional=some),
        Occupation(cook, "Prepare food for guests.", (), cooks, "35"),
    ]
    write_lines(tmp_path / "work.jsonl", [row for one in work for row in rows_of(one)])
    main(
        [
            "fit", f"--config={CAREERS}", f"--data.source={tmp_path / 'work.jsonl'}",
            f"--data.cache={tmp_path / 'cache'}", "--data.min_count=2", "--data.val_fraction=0.4",
            "--model.scratch.vocabulary=300", "--model.scratch.n_layer=1",
            "--model.scratch.n_embd=16", "--trainer.max_steps=1", "--trainer.logger=false",
            "--titles.limit=0", "--samples.records=0", "--rankings.limit=0",
            f"--trainer.default_root_dir={tmp_path / 'run'}",
        ]
    )  # fmt: skip
    capsys.readouterr()
    asked = ["--position=torch HAND", "--explain=0", "--decoding.max_new_tokens=2"]
    main(["recommend", f"--model.pretrained={tmp_path / 'run' / 'model'}", *asked])
    assert "'torch HAND' is taken for 'Welder' (100% sure)" in capsys.readouterr().out
    path = tmp_path / "run" / "model" / OCCUPATIONS
    kept = {row["occupation"]: row for _, row in read_objects(str(path))}
    found = [kept["Welder"][name] for name in ("changes_to", "skill_level", "optional_skills")]
    assert found == [[cook, "Smith"], "2", [*some]]
    assert {*kept["Welder"]["other_titles"]} == {*others}
