"""The report of a comparison: one file of HTML that opens from a disk, offline, on any screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from careergpt.compare.comparison import Comparison
from careergpt.compare.report import numbers, panels, plots, rows, shades
from careergpt.compare.report.texts import short, visible
from careergpt.compare.surprise import END
from careergpt.data.whole_files import whole
from careergpt.modeling.loss import perplexity


def write_report(comparison: Comparison, path: Path) -> None:
    """Writes the page; the file has its name only when it is whole."""
    content = report_html(comparison).encode()
    with whole(path) as partial:
        partial.write_bytes(content)


def report_html(comparison: Comparison) -> str:
    """The page as text; every text of the comparison in it is text, whatever it holds."""
    return (
        _templates()
        .get_template("page.html.jinja")
        .render(
            it=comparison,
            headline=rows.headline(comparison),
            groups=rows.grouped(comparison),
            labels=rows.labels(comparison),
            describing=rows.describing(comparison),
            scatter=plots.scatter(comparison.scores, comparison.same_tokenizer),
            by_task=panels.by_task(comparison),
            by_title=panels.by_title(comparison.scores, comparison.same_tokenizer),
            legend=shades.legend(),
            options=list(flat(comparison.settings)),
        )
    )


def flat(options: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Options and their values, those of a group by their dotted names."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        else:
            yield before + name, value


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("careergpt.compare.report", "."),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = "number signed brief share effect_size p_value count".split()
    templates.filters |= {name: getattr(numbers, name) for name in names}
    templates.filters |= {"perplexity": perplexity, "shaded": shades.shaded, "short": short}
    templates.globals |= {
        "bounds": numbers.bounds,
        "costs": plots.costs,
        "end_sign": END,
        "places_of": numbers.row_decimals,
        "symmetric_mark": plots.symmetric_mark,
    }
    return templates


def _finalize(value: Any) -> Any:
    """What every expression of a template goes through, before it is escaped."""
    # Markup is what a macro made: it went through here already.
    foreign = isinstance(value, str) and not isinstance(value, Markup)
    return visible(value) if foreign else value
