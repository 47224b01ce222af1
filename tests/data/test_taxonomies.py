"""Laws of taxonomies: their downloads become rows that the default tasks and splits can use."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from careergpt.cli import main
from careergpt.data.datamodule import CareerDataModule
from careergpt.data.esco import alike, read_esco
from careergpt.data.onet import read_onet, singular
from careergpt.data.taxonomies import (
    DRAWS,
    FEWEST,
    MOST,
    MOVES,
    VAGUE,
    rows_of,
)
from careergpt.data.taxonomy_files import level_of
from careergpt.data.text_files import read_objects

RN, NP, OTHER = "29-1141.00", "29-1171.00", "51-9199.00"
SKILLS = [f"Charting tool {letter}" for letter in "ABCDEFGHIJKL"]
TEXTS = {
    "Occupation Data.txt": [
        ("O*NET-SOC Code", "Title", "Description"),
        (RN, "Registered Nurses", "Assess patient health problems and needs."),
        (NP, "Nurse Practitioners", "Diagnose and treat illness. May order tests."),
        (OTHER, "Production Workers, All Other", "All production workers not listed separately."),
    ],
    "Alternate Titles.txt": [
        ("O*NET-SOC Code", "Alternate Title", "Short Title", "Source(s)"),
        *((RN, title, "n/a", "08") for title in ("Staff Nurse", "Charge Nurse", "staff nurse.")),
        (RN, "Registered Nurse (RN)", "RN", "02"),
    ],
    "Technology Skills.txt": [
        ("O*NET-SOC Code", "Example", "Commodity Title"),
        *((RN, skill, "Medical software") for skill in SKILLS),
        (NP, "Adobe Systems Adobe Acrobat", "Document software"),
    ],
    "Career Changers Matrix.txt": [
        ("O*NET-SOC Code", "Related O*NET-SOC Code", "Index"),
        (RN, NP, "1"),
        (RN, OTHER, "2"),
    ],
}
TABLES = {
    "occupations_en.csv": [
        ("conceptUri", "iscoGroup", "preferredLabel", "altLabels", "description"),
        ("o/1", "2221", "midwife", "birth assistant\nmidwife", "Midwives assist women in labour."),
    ],
    "skills_en.csv": [("conceptUri", "preferredLabel"), ("s/1", "give care"), ("s/2", "dance")],
    "occupationSkillRelations_en.csv": [
        ("occupationUri", "relationType", "skillType", "skillUri"),
        ("o/1", "essential", "skill", "s/1"),
        ("o/1", "optional", "skill", "s/2"),
    ],
}


@pytest.fixture
def onet(tmp_path: Path) -> Path:
    return written(tmp_path / "onet", TEXTS, "\t")


def written(folder: Path, tables: dict[str, list[tuple[str, ...]]], delimiter: str) -> Path:
    folder.mkdir()
    for name, rows in tables.items():
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return folder


def test_an_occupation_has_what_its_files_say_of_it(onet: Path) -> None:
    nurse, practitioner = read_onet(str(onet))
    assert nurse.name == "Registered Nurse"
    named = ("Staff Nurse", "Charge Nurse", "staff nurse.", "Registered Nurse (RN)", "RN")
    assert nurse.titles == ("Registered Nurses", *named)
    assert nurse.field == "29 Healthcare Practitioners and Technical"
    assert nurse.next == ("Nurse Practitioner",)
    assert practitioner.skills == ("Adobe Acrobat",)


def test_an_occupation_is_described_by_its_titles_and_asked_by_draws_of_its_skills(
    onet: Path,
) -> None:
    nurse = read_onet(str(onet))[0]
    rows = list(rows_of(nurse))
    described = [row["position_title"] for row in rows if "job_description" in row]
    assert described[0] == "Registered Nurse"
    others = {"Registered Nurses", "Staff Nurse", "Charge Nurse", "Registered Nurse (RN)", "RN"}
    assert set(described[1:]) == others
    lists = [(row["position_title"], row["skills"]) for row in rows if "skills" in row]
    assert {title for title, _ in lists} == set(described)
    assert sum(title == "Registered Nurse" for title, _ in lists) == DRAWS
    assert all(FEWEST <= len({*some}) == len(some) <= MOST for _, some in lists)
    assert all({*some} <= {*SKILLS} for _, some in lists)
    changes = Counter(row["titles"][1] for row in rows if "titles" in row)
    assert changes.most_common(1) == [("Nurse Practitioner", MOVES)]
    many = rows_of(nurse._replace(next=tuple(map("Nurse {}".format, range(MOVES + 3)))))
    assert len({row["titles"][1] for row in many if "titles" in row}) == MOVES + 3
    assert [row["changes_to"] for row in rows if "changes_to" in row] == [["Nurse Practitioner"]]
    assert {row["occupation"] for row in rows} == {"Registered Nurse"}
    assert rows == list(rows_of(nurse))


def test_an_occupation_of_many_titles_gives_as_many_rows_as_any(onet: Path) -> None:
    nurse = read_onet(str(onet))[0]
    counts = {
        len(list(rows_of(nurse._replace(titles=tuple(map("Nurse {}".format, range(n)))))))
        for n in (DRAWS, 100)
    }
    assert len(counts) == 1


def test_a_title_of_many_occupations_names_none(onet: Path, tmp_path: Path) -> None:
    for name, row in (
        ("Occupation Data.txt", "{}\tCooks {}\tCook.\n"),
        ("Alternate Titles.txt", "{}\tHelper\tn/a\t08\n"),
    ):
        with (onet / name).open("a", encoding="utf-8") as file:
            file.writelines(row.format(n, n) for n in range(VAGUE))
    main(["tables", "onet", str(onet), f"--out={tmp_path / 'onet.jsonl'}"])
    rows = [row for _, row in read_objects(str(tmp_path / "onet.jsonl"))]
    titles = {row.get("position_title") for row in rows}
    assert {"Staff Nurse", "Cooks 0"} <= titles
    assert "Helper" not in titles


def test_a_later_release_has_related_occupations_instead(onet: Path) -> None:
    (onet / "Career Changers Matrix.txt").rename(onet / "Related Occupations.txt")
    assert read_onet(str(onet))[0].next == ("Nurse Practitioner",)


def test_what_an_occupation_takes_is_told_where_the_files_say_so(
    onet: Path, tmp_path: Path
) -> None:
    assert not any(
        {"job_zone", "education"} & row.keys() for row in rows_of(read_onet(str(onet))[0])
    )
    code = "O*NET-SOC Code"
    files = {
        **TEXTS,
        "Job Zones.txt": [(code, "Job Zone", "Date"), (RN, "3", "07/2020")],
        "Education, Training, and Experience Categories.txt": [
            ("Element ID", "Scale ID", "Category", "Category Description"),
            ("2.D.1", "RL", "5", "Associate's Degree"),
            ("2.D.1", "RL", "6", "Bachelor's Degree"),
            ("3.A.1", "RW", "6", "Over 1 year"),
        ],
        "Education, Training, and Experience.txt": [
            (code, "Element ID", "Scale ID", "Category", "Data Value"),
            (RN, "2.D.1", "RL", "5", "40.5"),
            (RN, "2.D.1", "RL", "6", "9.25"),
            (RN, "3.A.1", "RW", "6", "99.0"),
        ],
    }
    nurse, practitioner = read_onet(str(written(tmp_path / "more", files, "\t")))
    assert (nurse.job_zone, nurse.education) == ("3", "Associate's Degree")
    assert (practitioner.job_zone, practitioner.education) == ("", "")
    told = {(row["job_zone"], row["education"], row["skill_level"]) for row in rows_of(nurse)}
    assert told == {("3", "Associate's Degree", "4")}


def test_esco_gives_essential_skills_under_every_label(tmp_path: Path) -> None:
    (midwife,) = read_esco(str(written(tmp_path / "esco", TABLES, ",")))
    assert midwife.skills == ("give care",)
    assert next(rows_of(midwife))["optional_skills"] == [*midwife.optional] == ["dance"]
    assert {row["position_title"] for row in rows_of(midwife)} == {"midwife", "birth assistant"}
    assert midwife.field.startswith("ISCO-2")
    assert midwife.skill_level == "4"


def esco_of(folder: Path, skills: dict[str, list[str]], groups: dict[str, str]) -> Path:
    """A download of occupations with these essential skills and ISCO groups."""
    every = sorted({skill for some in skills.values() for skill in some})
    tables = {
        "occupations_en.csv": [
            TABLES["occupations_en.csv"][0],
            *((f"o/{name}", groups[name], name, name, f"What {name}s do.") for name in skills),
        ],
        "skills_en.csv": [TABLES["skills_en.csv"][0], *((f"s/{s}", s) for s in every)],
        "occupationSkillRelations_en.csv": [
            TABLES["occupationSkillRelations_en.csv"][0],
            *((f"o/{o}", "essential", "", f"s/{s}") for o, some in skills.items() for s in some),
        ],
    }
    return written(folder, tables, ",")


def test_an_esco_occupation_is_left_for_those_that_share_most_skills(tmp_path: Path) -> None:
    # Write is what all can do: to share it says least.
    lists = {
        "chef": ["write", "cook", "plan menus", "season"],
        "head chef": ["write", "cook", "plan menus", "lead"],
        "baker": ["write", "cook", "bake"],
        "clerk": ["write", "file"],
        "cook": ["write", "cook", "plan menus", "season"],
        "diver": ["dive"],
    }
    groups = dict(zip(lists, ("3434", "3434", "7512", "4110", "5120", "7541"), strict=True))
    after = {one.name: one.next for one in read_esco(str(esco_of(tmp_path / "e", lists, groups)))}
    # The cook shares all with the chef, but takes less skill, as baker and clerk do.
    assert after["chef"] == ("head chef", "cook", "baker")
    assert after["cook"][:2] == ("chef", "head chef")
    assert after["diver"] == ()
    assert all(name not in others for name, others in after.items())


def test_only_what_shares_the_most_skills_is_a_move_and_without_skills_nothing(
    tmp_path: Path,
) -> None:
    many = {f"cook {number:02}": ["cook"] for number in range(15)} | {"idler": []}
    groups = dict.fromkeys(many, "5120")
    *cooks, idler = read_esco(str(esco_of(tmp_path / "many", many, groups)))
    assert {len(one.next) for one in cooks} == {10}
    assert idler.next == ()
    assert alike([[], []], [[], []], ["", "of the 1"], [2, 2]) == [[], []]


def test_an_optional_skill_that_another_must_have_makes_them_alike(tmp_path: Path) -> None:
    folder = esco_of(tmp_path / "e", {"singer": ["sing"], "miner": ["dig"]},
                     {"singer": "2652", "miner": "2652"})  # fmt: skip
    assert [one.next for one in read_esco(str(folder))] == [(), ()]
    with (folder / "occupationSkillRelations_en.csv").open("a", encoding="utf-8") as file:
        file.write("o/singer,optional,,s/dig\n")
    singer, miner = read_esco(str(folder))
    assert (singer.skills, singer.optional, singer.next) == (("sing",), ("dig",), ("miner",))
    assert (miner.optional, miner.next) == ((), ("singer",))


def test_of_equals_in_skill_the_one_that_is_called_alike_comes_first(tmp_path: Path) -> None:
    equals = {"tailor": ["sew"], "upholsterer": ["sew"], "ladies' tailor": ["sew"]}
    tailor, *_ = read_esco(str(esco_of(tmp_path / "e", equals, dict.fromkeys(equals, "7531"))))
    assert tailor.next == ("ladies' tailor", "upholsterer")


def test_optional_skills_and_what_is_said_count_and_who_takes_more_skill_counts_less() -> None:
    same, none = [["cook"], ["cook"], ["cook"], ["dive"]], ["", "", "", ""]
    told = ["He cooks fish.", "He cooks soup.", "He cooks fish.", "He dives."]
    assert alike(same, same, none, [2, 2, 2, 2])[0] == [1, 2]
    assert alike(same, same, told, [2, 2, 2, 2])[0] == [2, 1]
    also = [["cook", "lead"], ["cook"], ["cook", "lead"], ["dive"]]
    assert alike(same, also, none, [2, 2, 2, 2])[0] == [2, 1]
    # Equal but for the level: one's own first, then the higher, then the lower.
    assert alike([["cook"]] * 4, [["cook"]] * 4, none, [3, 2, 4, 3])[0] == [3, 2, 1]


def test_what_takes_less_skill_comes_last_in_the_order_that_it_had(onet: Path) -> None:
    codes = ("29-2061.00", "31-1014.00", "29-1171.00", "11-9111.00")
    names = ("Practical Nurses", "Aides", "Nurse Practitioners", "Health Managers")
    for name, row in (("Occupation Data.txt", "{0}\t{1}\tWork.\n"),
                      ("Career Changers Matrix.txt", f"{RN}\t{{0}}\t1\n")):  # fmt: skip
        text = (onet / name).read_text(encoding="utf-8").splitlines(keepends=True)
        held = [line for line in text if NP not in line]
        held += [row.format(*pair) for pair in zip(codes, names, strict=True)]
        (onet / name).write_text("".join(held), encoding="utf-8")
    nurse = read_onet(str(onet))[0]
    assert nurse.next == ("Nurse Practitioner", "Health Manager", "Practical Nurse", "Aide")


@pytest.mark.parametrize(
    ("code", "level"),
    [("29-1141.00", 4), ("29-2061.00", 3), ("53-7062.00", 1), ("53-3032.00", 2), ("ISCO-2221", 4),
     ("ISCO-9629", 1), ("ISCO-1420", 3), ("11-9051.00", 3), ("53-2011.00", 3), ("13-1022.00", 3),
     ("37-1011.00", 2), ("25-9041.00", 2), ("35-9021.00", 1), ("ISCO-0110", 4), ("ISCO-0310", 1),
     ("99-1", 0), ("", 0)],
)  # fmt: skip
def test_a_code_s_level_is_that_of_its_most_particular_group(code: str, level: int) -> None:
    assert level_of(code) == level


def test_the_verb_writes_a_table_that_every_task_learns_from(
    onet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "onet.jsonl"
    main(["tables", "onet", str(onet), f"--out={out}"])
    licence = out.with_suffix(".LICENCE").read_text(encoding="utf-8").strip()
    assert "CC BY 4.0" in licence
    assert licence in capsys.readouterr().out
    data = CareerDataModule(source=str(out), cache=str(tmp_path / "cache"), processes=1).open()
    rows = data.table.to_pylist()
    assert len(rows) == len(list(read_objects(str(out))))
    nurses = [row for row in rows if (row["job_description"] or "").startswith("Assess")]
    # Nothing of an occupation is in training and in a test at once.
    assert len({row["hash"] for row in nurses}) == 1 < len(nurses)
    assert sum(data.report().fields.values()) == int((data.split == 0).sum())


@pytest.mark.parametrize(
    ("singular_form", "plural"),
    [
        ("Registered Nurse", "Registered Nurses"),
        ("Nurse Midwife", "Nurse Midwives"),
        ("Waiter and Waitress", "Waiters and Waitresses"),
        (
            "Secretary and Administrative Assistant, Except Legal",
            "Secretaries and Administrative Assistants, Except Legal",
        ),
        (
            "First-Line Supervisor of Correctional Officers",
            "First-Line Supervisors of Correctional Officers",
        ),
        ("Sales and Related Worker", "Sales and Related Workers"),
        ("Helper--Electrician", "Helpers--Electricians"),
        ("Coach and Scout", "Coaches and Scouts"),
        ("Business Teacher, Postsecondary", "Business Teachers, Postsecondary"),
    ],
)
def test_titles_are_put_in_the_singular_once(singular_form: str, plural: str) -> None:
    assert singular(plural) == singular_form
    assert singular(singular_form) == singular_form


MISTAKES = {
    "no such table": ("Technology Skills.txt", None, "no table 'Technology Skills'"),
    "a layout": ("Occupation Data.txt", "Code\tName\n1\tCook\n", "no column 'O*NET-SOC Code'"),
    "a torn row": (
        "Alternate Titles.txt",
        "O*NET-SOC Code\tAlternate Title\tShort Title\n1\tA\tn/a\n2\tB\tn/a\n3\n4\tC\tn/a\n",
        ":4 has",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_no_download_is_refused_before_anything_is_written(
    mistake: str, onet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, content, told = MISTAKES[mistake]
    (onet / name).unlink()
    if content:
        (onet / name).write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["tables", "onet", str(onet), f"--out={tmp_path / 'onet.jsonl'}"])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert told in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["onet"]


def test_the_table_is_of_json_lines(onet: Path) -> None:
    with pytest.raises(SystemExit):
        main(["tables", "onet", str(onet), "--out=onet.csv"])
