"""Bad data, each with the whole line that is printed: nothing is lost in silence."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from careergpt.cli import main
from careergpt.errors import InputError
from careergpt.recommend.people import Person, read_people
from tests.processes import run

ROOT = Path(__file__).parents[2]
HEADER = "company_name,position_title,job_description,skills\n"
REMEDY = "Give a table with a header and at least one row"
OPEN = "a quote that is opened and never closed"
LONE = 'a quote amid a cell that is not written twice ("")'
LONG = "a line longer than 10,000,000 characters"
UNUSED = "look at the columns, or map them with --data.columns.FIELD"
RAGGED = "more or fewer cells than the header"
HALF = "half a character, a lone surrogate. Write it anew as UTF-8"
SPLIT = (
    "is in the val split: bring more rows, or change --data.val_fraction, --data.test_fraction or "
    "--data.splits"
)


def rows(number: int) -> str:
    """Postings that are no near-duplicates."""
    return "".join(
        f"Co{n},Welder {n},Welds things of kind {n} at site {7 * n} daily.,welding|steel {n}\n"
        for n in range(number)
    )


@pytest.fixture
def line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line that a command fails with."""

    def _line(*words: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(list(words))
        assert caught.value.code == 2
        out, error = capsys.readouterr()
        assert out == ""
        assert error.endswith("\n")
        return error[:-1]

    return _line


@pytest.fixture
def verbs(scratch: list[str], quiet: list[str], tmp_path: Path) -> dict[str, list[str]]:
    """Both verbs that read tables to train on them."""
    cache = [f"--data.cache={tmp_path / 'cache'}", "--data.processes=1"]
    run = f"--trainer.default_root_dir={tmp_path / 'run'}"
    return {"fit": ["fit", *scratch, *quiet, *cache, run], "audit": ["audit", *cache]}


REFUSED = {
    "missing": (None, "no such file or folder: {path}"),
    "empty": (b"", f"{{path}} is empty. {REMEDY}"),
    "a mark and nothing": (b"\xef\xbb\xbf", f"{{path}} is empty. {REMEDY}"),
    "blank": (b"\n \n\n", f"{{path}}:2: the header names no column. {REMEDY}"),
    "NUL bytes alone": (b"\0" * 999, f"{{path}}:1: the header names no column. {REMEDY}"),
    "a header alone": (HEADER.encode(), f"{{path}} has a header and no rows. {REMEDY}"),
    "a missing column": (
        b"name,text\na,b\n",
        "{path} has no column 'position_title' and no 'job_description' (it has: name, text). "
        "Map it: --data.columns.position_title=COLUMN --data.columns.job_description=COLUMN, "
        "or ask by its own columns: --data.tasks "
        """'{{"mine": {{"prompt": "{{name}}", "completion": "{{text}}"}}}}'""",
    ),
    "a byte of no encoding": (
        HEADER.encode() + b"Co,Nurse,cares \x81,\n",
        "{path}: none of the 1 rows can be used (1 a byte that is not cp1252, first in "
        f"jobs.csv:2); {UNUSED}",
    ),
    "open quotes": (
        (HEADER + 'Co,Nurse,"cares,x\nCo,Cook,"fries" it,x\n').encode(),
        f"{{path}}: none of the 2 rows can be used (1 {OPEN}, first in jobs.csv:2, 1 {LONE}, first "
        f"in jobs.csv:3); {UNUSED}",
    ),
    "semicolons below commas": (
        (HEADER + rows(9).replace(",", ";")).encode(),
        "{path}: none of the 9 rows can be used (9 " + RAGGED + ", first in jobs.csv:2); "
        + UNUSED,
    ),
    "no completion": (
        (HEADER + "Co,Nurse,,\nCo,Cook,n/a,-1\n").encode(),
        f"{{path}}: none of the 2 rows can be used (2 no job_description, first in "
        f"jobs.csv:2); {UNUSED}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("verb", ["fit", "audit"])
@pytest.mark.parametrize("case", REFUSED)
def test_a_table_of_no_use_is_this_line(
    case: str, verb: str, verbs: dict[str, list[str]], tmp_path: Path, line: Callable
) -> None:
    content, said = REFUSED[case]
    path = tmp_path / "jobs.csv"
    if content is not None:
        path.write_bytes(content)
    found = line(*verbs[verb], f"--data.source={path}")
    assert found == "error: " + said.format(path=path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [1, 2])
def test_one_row_and_two_lack_a_validation_split(
    number: int, verbs: dict[str, list[str]], tmp_path: Path, line: Callable
) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text(HEADER + rows(number))
    found = line(*verbs["fit"], f"--data.source={path}")
    assert found == f"error: {path}: none of its {number} records {SPLIT}"
    main([*verbs["audit"], f"--data.source={path}"])


def test_prompts_beyond_the_context_are_this_line(
    verbs: dict[str, list[str]], tmp_path: Path, line: Callable
) -> None:
    path = tmp_path / "jobs.csv"
    titles = [f"{'welder ' * 20}{n}" for n in range(20)]
    postings = (f"Co,{title},Welds things of kind {title}.,x\n" for title in titles)
    path.write_text(HEADER + "".join(postings))
    tasks = '--data.tasks={"t": {"prompt": "For a {position_title}:", "completion": "{skills}"}}'
    found = line(*verbs["fit"], f"--data.source={path}", "--data.max_length=32", tasks)
    assert found == (
        f"error: {path}: the train split has 15 records and no example: their prompts leave no "
        "room within data.max_length (32), or their tasks weigh 0"
    )


KEPT = {
    "cp1252": ("cp1252", "Café owner", "  {path}: 21 read, 21 kept (cp1252)"),
    "UTF-16": ("utf-16", "Café owner", "records kept        21"),
    "a byte order mark": ("utf-8-sig", "Café owner", "records kept        21"),
    "mojibake": ("utf-8", "CafÃ© owner", "records kept        21"),
    "semicolons": ("utf-8", "Café owner", "records kept        21"),
    "a NUL byte": ("utf-8", "Café\0 owner", "records kept        21"),
    "ragged rows": ("utf-8", "Café owner", f"dropped      {2:>9}  {RAGGED} (first: jobs.csv:23)"),
    "an open quote": ("utf-8", "Café owner", f"dropped      {1:>9}  {OPEN} (first: jobs.csv:23)"),
    "half of UTF-16": (
        "utf-16", "Café owner",
        f"dropped      {1:>9}  a byte that is not utf-16 (first: jobs.csv:23)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", KEPT)
def test_a_table_that_can_be_read_loses_no_letter(
    case: str, verbs: dict[str, list[str]], model: str, quiet: list[str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    encoding, title, said = KEPT[case]
    text = HEADER + rows(20) + f"Co,{title},Brews all day in the old town.,brewing\n"
    text = text.replace(",", ";") if case == "semicolons" else text
    text += {
        "ragged rows": "a,b\nc,d,e,f,g\n",
        "an open quote": 'a,b,"c,d\n',
        "half of UTF-16": "a,b,c,d",
    }.get(case, "")
    content = text.encode(encoding)[: -1 if case == "half of UTF-16" else None]
    path, out = tmp_path / "jobs.csv", tmp_path / "out.jsonl"
    path.write_bytes(content)
    table = [f"--data.source={path}", *verbs["audit"][1:]]
    main(["audit", *table])
    assert said.format(path=path) in capsys.readouterr().out.splitlines()
    few = "--model.decoding.max_new_tokens=1"
    main(["predict", model, *quiet, *table, "--data.splits=all", f"--out={out}", few])
    asked = [json.loads(row)["prompt"] for row in out.read_text(encoding="utf-8").splitlines()]
    assert len(asked) == 21
    assert "Tell me about the qualifications required for a Café owner." in asked


def test_na_and_none_stay_words(
    verbs: dict[str, list[str]], model: str, quiet: list[str], tmp_path: Path
) -> None:
    path, out = tmp_path / "jobs.csv", tmp_path / "out.jsonl"
    path.write_text(HEADER + "NA,None,NA,None\nNone,NA,None,NA\n")
    table = [f"--data.source={path}", *verbs["audit"][1:], "--data.splits=all", f"--out={out}"]
    main(["predict", model, *quiet, *table, "--model.decoding.max_new_tokens=1"])
    asked = [json.loads(row)["prompt"] for row in out.read_text(encoding="utf-8").splitlines()]
    start = "Tell me about the qualifications required for a"
    assert asked == [f"{start} None.", f"{start} NA."]


GIANT = """
import resource, sys
from careergpt.cli import main
for words in ({audit}, {predict}):
    try:
        main(words)
    except SystemExit as end:
        print(end.code)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_a_cell_and_a_prompt_of_100_megabytes_are_refused_without_being_held(
    model: str, quiet: list[str], tmp_path: Path
) -> None:
    table, prompts = tmp_path / "jobs.csv", tmp_path / "asked.txt"
    table.write_text(HEADER + "Co,Nurse," + "care " * 20_000_000 + ",x\n")
    prompts.write_text("care " * 20_000_000)
    audit = ["audit", f"--data.source={table}", f"--data.cache={tmp_path}", "--data.processes=1"]
    predict = ["predict", model, *quiet, f"--data.prompts={prompts}", f"--out={tmp_path / 'out'}"]
    script = tmp_path / "giant.py"
    script.write_text(GIANT.format(audit=audit, predict=predict))
    done = run([], script=script, cwd=ROOT)
    assert done.stderr == (
        f"error: {table}: none of the 1 rows can be used (1 {LONG}, first in jobs.csv:2); "
        f"{UNUSED}\n"
        f"error: {prompts}:1: {LONG}. Mend or remove it\n"
    )
    *codes, megabytes = map(int, done.stdout.split())
    assert codes == [2, 2]
    # torch and Lightning alone take about 500.
    assert megabytes < 1500


HOSTILE = [
    "<|endoftext|>", "{position_title}", "%s%n{0.__class__}", "\0\x01\x7f", "\u202eرئيس\u2066",
    "'; DROP TABLE jobs; --", "../../etc/passwd", "$(touch owned)", "a\u0301" * 9, "\ufeff",
    "\U0001f468\u200d\U0001f469", "\u2028\u2029\x85", "-1", "NaN", "null", " ", "",
]  # fmt: skip


def drawn(strategy: st.SearchStrategy, number: int) -> list:
    """So many values that hypothesis draws, the same at each run."""
    found = []

    @settings(
        max_examples=number, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck), deadline=None,
    )  # fmt: skip
    @given(strategy)
    def draw(value: object) -> None:
        found.append(value)

    draw()
    return found


def test_a_thousand_hostile_prompts_are_answered(
    model: str, quiet: list[str], tmp_path: Path
) -> None:
    texts = st.text(st.characters(codec="utf-8"), max_size=25)
    prompts = [*HOSTILE, *drawn(texts, 1000)]
    path, out = tmp_path / "asked.jsonl", tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    few = ["--model.decoding.max_new_tokens=2", "--data.prompts_per_batch=128"]
    main(["predict", model, *quiet, f"--data.prompts={path}", f"--out={out}", *few])
    answers = [json.loads(row) for row in out.read_text(encoding="utf-8").split("\n")[:-1]]
    assert len(prompts) > 900
    assert [answer["prompt"] for answer in answers] == prompts


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (r'{"prompt": "\ud800"}', f": the prompt holds {HALF}"),
        ("[" * 50_000, ": not JSON"),
        ('{"prompt": "a", "prompt": "b"}', ": not JSON (it says 'prompt' twice)"),
        ('{"prompt": 1}', ': not a JSON object with a "prompt" text'),
    ],
    ids=["half a character", "deep", "twice", "a number"],
)  # fmt: skip
def test_a_prompt_that_cannot_be_read_is_this_line(
    row: str, said: str, model: str, quiet: list[str], tmp_path: Path, line: Callable
) -> None:
    path = tmp_path / "asked.jsonl"
    path.write_text('{"prompt": "a"}\n' + row + "\n")
    words = ["predict", model, *quiet, f"--data.prompts={path}", f"--out={tmp_path / 'out'}"]
    assert line(*words).startswith(f"error: {path}:2{said}")


def test_a_thousand_hostile_people_are_answered_or_named(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = st.text(max_size=20) | st.sampled_from(HOSTILE)
    odd = st.none() | st.integers() | st.floats() | st.lists(st.text(max_size=3), max_size=2)
    told = st.fixed_dictionaries(
        {}, optional={
            "position": texts | odd, "skills": texts | st.lists(texts, max_size=3) | odd,
            "history": texts | st.lists(texts, max_size=2) | odd, "x": odd,
        },
    )  # fmt: skip
    path = tmp_path / "people.jsonl"
    lines, refused = [], []
    for one in drawn(told, 1000):
        path.write_text(json.dumps(one))
        try:
            (person,) = read_people(str(path))
        except InputError as error:
            refused.append(str(error))
        else:
            assert isinstance(person, Person)
            lines.append(json.dumps(one) + "\n")
    assert len(refused) > 100
    assert not any("\n" in said for said in refused)
    path.write_text("".join(lines[:200]))
    words = ["--device=cpu", "--explain=0", "--decoding.max_new_tokens=1", "--format=json"]
    main(["recommend", model, f"--input={path}", *words])
    assert capsys.readouterr().out.count("\n") == len(lines[:200])
