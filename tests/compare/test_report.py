"""Laws of the report: what is foreign stays text, and nothing is asked from outside."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from html.parser import HTMLParser
from typing import Any

import pyarrow as pa
import pytest

from careergpt.compare import plots
from careergpt.compare.comparison import Comparison
from careergpt.compare.report import report_html
from careergpt.compare.statistics import Interval

VOID = {"meta", "br", "hr", "img", "input", "link", "base", "col", "source", "wbr", "embed"}
HOSTILE = (
    "</title></style></script></svg></bdi><script>alert(1)</script><img/src=x/onerror=alert(1)>"
    "<iframe/src=https://evil.example><style>*{background:url(https://evil.example)}</style>"
    "\"'onmouseover='alert(1)'\"`{{7*7}}{%raw%}<|endoftext|>&lt;b&gt;&#60;i&#62;\0\x1b[31m"
    "\u202egnirts\u2066\ud800]]>--><!--" + "w" * 200
)
LITERALS = {"better", "worse", "different", "no difference found", "best", "median", "worst"}
LITERALS |= {"end", "length", "lower", "higher", "neither", "hash", "loss", "bits_per_byte"}
LITERALS |= {"finetuned"}
# The table's keys: the models' names, and the normalised titles, which no page shows.
# Keys of mappings.
OURS = {"baseline", "finetuned", "ceiling", "floor"}
KEYS = {"model", "cluster"}


@dataclass
class Page(HTMLParser):
    """The tags of a page with their attributes, its text, and the tags left open."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs), f"an attribute stands twice in {tag}: {attrs}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def skeleton(self) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes in self.tags]

    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.tags if "id" in attributes]


def read(html: str) -> Page:
    found = Page()
    found.feed(html)
    found.close()
    assert found.open == [], "these tags were left open"
    return found


def changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """The value with every text and number in it changed, the keys of dictionaries too."""
    if isinstance(value, dict):
        return {k if k in OURS else change(k): changed(v, change) for k, v in value.items()}
    if isinstance(value, tuple):
        parts = [changed(part, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, Comparison):
        named = {f.name: changed(getattr(value, f.name), change) for f in fields(value)}
        return Comparison(**named)
    if isinstance(value, pa.Table):
        rows = [
            {k: v if k in KEYS else change(v) for k, v in row.items()} for row in value.to_pylist()
        ]
        return pa.Table.from_pylist(rows, schema=value.schema)
    return change(value)


def with_texts(comparison: Comparison, added: str) -> Comparison:
    """A few of its scores, and this at the end of each text that is no word of the code."""

    def longer(value: Any) -> Any:
        foreign = isinstance(value, str) and value not in LITERALS | {""}
        return value + added if foreign else value

    def storable(value: Any) -> Any:
        # A table holds UTF-8: what that cannot say, such as half a character, never gets there.
        return longer(value).encode("utf-8", "ignore").decode() if isinstance(value, str) else value

    tables = {"scores": few(comparison).scores, "answers": comparison.answers}
    tables = {name: changed(table, storable) for name, table in tables.items()}
    empty = {name: table.slice(0, 0) for name, table in tables.items()}
    return replace(changed(replace(comparison, **empty), longer), **tables)


def few(comparison: Comparison) -> Comparison:
    return replace(comparison, scores=comparison.scores.slice(0, 24))


def shown_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from shown_texts(part)


@pytest.mark.parametrize(("same_tokenizer", "kept_out"), [(True, True), (False, False)])
def test_hostile_text_stays_text(
    comparison: Comparison, same_tokenizer: bool, kept_out: bool
) -> None:
    data = comparison.data._replace(kept_out=kept_out)
    comparison = replace(comparison, same_tokenizer=same_tokenizer, data=data)
    tame = read(report_html(with_texts(comparison, "tame")))
    hostile = read(report_html(with_texts(comparison, HOSTILE)))
    assert hostile.skeleton == tame.skeleton
    assert "<script>alert(1)</script>" in hostile.text
    assert "{{7*7}}{%raw%}<|endoftext|>&lt;b&gt;" in hostile.text


@pytest.mark.parametrize("text", ["\0", "\x1b", "\u202e", "\u2066", "\ud800", "\uffff", "\x85"])
def test_characters_that_act_are_only_shown(comparison: Comparison, text: str) -> None:
    html = report_html(with_texts(comparison, f"a{text}b"))
    assert text not in html
    html.encode("utf-8")


def test_every_text_is_somewhere_on_the_page(comparison: Comparison) -> None:
    found = " ".join(read(report_html(few(comparison))).text.split())
    said = (*comparison.models.values(), comparison.data.source, comparison.verdict)
    parts = (comparison.notes, comparison.command, [f.metric.says for f in comparison.findings])
    shown = comparison.answers.to_pylist()[:10]
    answers = [(row["prompt"], row["reference"], row["text"]) for row in shown]
    prompts = [one.prompt for one in comparison.word_scores]
    texts = list(shown_texts((said, *map(tuple, (*parts, answers, prompts)))))
    assert [t for t in texts if len(t) > 1 and " ".join(t.split()) not in found] == []


def test_the_page_asks_no_network(comparison: Comparison) -> None:
    html = report_html(comparison)
    found = read(html)
    policy = [a["content"] for tag, a in found.tags if a.get("http-equiv")]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]
    assert not {tag for tag, _ in found.tags} & {"script", "link", "img", "iframe", "base", "form"}
    assert not [a for _, a in found.tags for name in a if name in {"src", "srcset", "action"}]
    links = [str(a["href"]) for _, a in found.tags if "href" in a]
    assert links
    assert all(link.removeprefix("#") in found.ids() for link in links)
    assert not re.search(r"url\(|@import|https?:", html)


def test_ids_are_given_once_and_what_names_them_finds_them(comparison: Comparison) -> None:
    found = read(report_html(comparison))
    named = [str(a["aria-labelledby"]).split() for _, a in found.tags if "aria-labelledby" in a]
    assert len(found.ids()) == len(set(found.ids()))
    assert {name for names in named for name in names} <= set(found.ids())


def test_the_verdict_comes_first(comparison: Comparison) -> None:
    found = read(report_html(comparison))
    text = found.text
    places = [text.index(sentence) for sentence in comparison.verdict]
    assert text.index(comparison.plain_words) < text.index("The fine-tuned model:") < places[0]
    assert places == sorted(places)
    assert places[-1] < text.index("What was compared")
    assert next(a["class"] for tag, a in found.tags if "badge" in (a.get("class") or "")) == (
        "badge better"
    )


def test_different_tokenizers_are_told(comparison: Comparison) -> None:
    same = read(report_html(comparison)).text
    other = read(report_html(replace(comparison, same_tokenizer=False))).text
    assert "tokenizers differ" in other
    assert "tokenizers differ" not in same
    assert "baseline, perplexity" in same
    assert "baseline, bits a byte" in other
    assert re.search(r"Most improved.*Bits a byte", other, re.DOTALL)


def test_loss_is_told_as_perplexity_too(comparison: Comparison) -> None:
    loss = comparison.findings[0]._replace(baseline=math.log(50), finetuned=math.log(20))
    text = read(report_html(replace(comparison, findings=(loss,)))).text
    assert "perplexity 50.00" in text
    assert "perplexity 20.00" in text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_said_in_words(comparison: Comparison, value: float) -> None:
    def spoiled(number: Any) -> Any:
        return value if isinstance(number, float) else number

    found = read(report_html(changed(comparison, spoiled)))
    values = " ".join(v or "" for _, a in found.tags for v in a.values())
    assert not re.search(r"\b(nan|inf)\b", f"{found.text} {values}", re.IGNORECASE)
    assert ("not known" if math.isnan(value) else "infinite") in found.text


def test_a_single_title_has_no_interval(comparison: Comparison) -> None:
    open_ended = Interval(-0.5, -math.inf, math.inf)
    finding = comparison.findings[0]._replace(titles=1, difference=open_ended, effect=math.nan)
    rows = [row | {"title": "Clerk", "cluster": "clerk"} for row in comparison.scores.to_pylist()]
    scores = pa.Table.from_pylist(rows, schema=comparison.scores.schema)
    text = read(report_html(replace(comparison, findings=(finding,), scores=scores))).text
    assert "no interval: a single title" in text
    assert "none: all differ alike" in text
    assert "By title" not in text
    assert "By task" not in text


def test_what_is_empty_leaves_no_section(comparison: Comparison) -> None:
    bare = replace(
        comparison, findings=(), bounds={}, diversity={}, scores=comparison.scores.slice(0, 0),
        word_scores=(), answers=comparison.answers.slice(0, 0), verdict=(), notes=(),
    )  # fmt: skip
    found = read(report_html(bare))
    sections = [a["id"] for tag, a in found.tags if tag == "section"]
    assert sections == ["verdict", "compared", "measured"]
    assert "To know when" not in found.text
    assert "Real texts reach" not in found.text
    assert not [tag for tag, _ in found.tags if tag in {"svg", "figure", "article"}]


@pytest.mark.parametrize(("trigram", "said"), [(3.3, "beaten"), (0.1, "not beaten")])
def test_the_floor_stands_beside_what_decides_and_in_every_row_of_it(
    comparison: Comparison, trigram: float, said: str
) -> None:
    floored = tuple(
        f._replace(trigram=None if f.trigram is None else trigram) for f in comparison.findings
    )
    text = read(report_html(replace(comparison, findings=floored))).text
    assert re.search(rf"Floor, by counting trigrams\s+[\d.]+\s+{said}\s", text)
    assert text.count("trigram ") >= sum(f.trigram is not None for f in floored) > 2


def test_bounds_stand_under_their_metric(comparison: Comparison) -> None:
    text = " ".join(read(report_html(comparison)).text.split())
    assert "Higher is better. Real texts reach 0.914 (the record’s own) and 0.087" in text


def test_many_points_are_a_stated_sample(comparison: Comparison) -> None:
    examples = comparison.scores.num_rows // 2
    many = pa.concat_tables([comparison.scores] * (plots.MOST_POINTS // examples + 2))
    html = report_html(replace(comparison, scores=many))
    assert html.count('class="easier"') + html.count('class="harder"') == plots.MOST_POINTS
    assert "Drawn are 2,000, a random sample (seed 0)" in html
    assert html == report_html(replace(comparison, scores=many))
    assert len(html) < 1_000_000


def test_a_long_text_folds_and_loses_no_word(comparison: Comparison) -> None:
    words = tuple((f" w{k}", 1.0) for k in range(400))
    none = comparison.answers.slice(0, 0)
    both = {"baseline": words, "finetuned": words[:130]}
    shown = comparison.word_scores[0]._replace(words=both)
    html = report_html(replace(comparison, word_scores=(shown,), answers=none))
    assert html.count("more words</summary>") == 1
    assert "280 more words" in html
    assert [html.count(f">w{k}<") for k in (0, 129, 399)] == [2, 2, 1]


def of_several(comparison: Comparison, names: list[str]) -> Comparison:
    """The comparison with its fine-tuned model under each of these names."""

    def renamed(table: pa.Table) -> pa.Table:
        rows = [
            row | {"model": name}
            for row in table.to_pylist()
            for name in (names if row["model"] == "finetuned" else ["baseline"])
        ]
        return pa.Table.from_pylist(rows, schema=table.schema)

    def by_name(values: Any) -> dict[str, Any]:
        return {"baseline": values["baseline"], **dict.fromkeys(names, values["finetuned"])}

    placed = dict.fromkeys(["baseline", *names], Interval(1, 1, 3))
    return replace(
        few(comparison),
        models=by_name(comparison.models),
        findings=tuple(f._replace(model=name) for f in comparison.findings for name in names),
        ranks={"loss": placed},
        diversity={metric: by_name(values) for metric, values in comparison.diversity.items()},
        scores=renamed(few(comparison).scores),
        answers=renamed(comparison.answers),
        word_scores=tuple(
            one._replace(losses=by_name(one.losses), words=by_name(one.words))
            for one in comparison.word_scores
        ),
    )


def test_of_several_models_each_has_its_ranks_plots_words_and_answers(
    comparison: Comparison,
) -> None:
    one = read(report_html(of_several(comparison, ["a/model"])))
    two = read(report_html(of_several(comparison, ["a/model", "b/model"])))
    assert len(two.ids()) == len(set(two.ids()))
    for shape in ("scatter", "side finetuned"):
        assert shapes(two, shape) == 2 * shapes(one, shape) > 0
    assert shapes(two, "side baseline") == shapes(one, "side baseline")
    assert "4 models" not in two.text
    assert "3 models on the same records" in two.text
    assert two.text.count("1 (1 to 3)") == 3
    text = HOSTILE.encode("utf-8", "ignore").decode()
    hostile = read(report_html(of_several(comparison, [f"a/model{text}", f"b/model{text}"])))
    assert hostile.skeleton == two.skeleton


def shapes(page: Page, kind: str) -> int:
    return sum(attributes.get("class") == kind for _, attributes in page.tags)
