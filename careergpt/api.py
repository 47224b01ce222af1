"""The public Python API: what the verbs of the command line do, returned instead of printed.

Options are those of the command line, by the same names: groups are mappings, as in a configuration
file, and are laid over it.

    careergpt.fit("configs/demo.yaml", data={"source": "jobs.csv"}, trainer={"max_epochs": 1})

is `main.py fit --config configs/demo.yaml --data.source jobs.csv --trainer.max_epochs 1`. What a
user gets wrong is an `InputError`, a ValueError in one line.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from careergpt.cli import quiet_libraries
from careergpt.errors import InputError

if TYPE_CHECKING:
    from careergpt.compare.comparison import Comparison
    from careergpt.data.report import DataReport
    from careergpt.generation.decoding import Generated
    from careergpt.generation.sampling import Decoding
    from careergpt.recommend.agreement import Agreement
    from careergpt.recommend.candidates import Candidates
    from careergpt.recommend.paths import Paths
    from careergpt.recommend.recommendation import Qualifications, Recommendation
    from careergpt.recommend.recommender import Recommender

__all__ = ["InputError", "Model", "Run", "Score", "audit", "compare", "export", "fit", "load"]

# Prompts that are answered side by side; any number gives the same answers.
_SIDE_BY_SIDE = 16


class Score(NamedTuple):
    """What a completion costs a model; the end of text is scored too.

    Attributes:
        nats: Summed over the completion's tokens; lower is better.
        tokens: How many were scored.
        perplexity: exp(nats a token).
    """

    nats: float
    tokens: int
    perplexity: float


class Model:
    """A model folder, loaded: it recommends, writes and scores.

    Example:
        model = careergpt.load("runs/demo/model")
        model.recommend(position="Registered nurse", skills=["triage"]).positions[0].title
        model.generate(["Which skills does a welder need?"])[0].text
        model.score("Which position suits someone skilled in SQL?", "Data analyst").perplexity
    """

    def __init__(self, folder: str, device: str, **options: Any) -> None:
        """Loads the weights; `load` is its public name, and has the options."""
        from careergpt.modeling.folder import read_settings
        from careergpt.modeling.loaded import device_named, find_model

        self.folder, self._settings, self._options = folder, read_settings(folder), options
        self._loaded = find_model(folder).load(device_named(device))

    @cached_property
    def _recommender(self) -> Recommender:
        """Made once somebody is recommended something: not every folder names candidates."""
        from careergpt.recommend.recommender import Recommender

        return Recommender.load(self.folder, model=self._loaded, **self._options)

    def _decoding(self, **changed: Any) -> Decoding:
        from careergpt.generation.sampling import Decoding

        try:
            return Decoding(**{**self._settings.get("decoding", {}), **changed})
        except TypeError as error:
            raise InputError(f"decoding: {error}") from None

    def recommend(
        self,
        *,
        position: str | None = None,
        skills: str | Sequence[str] | None = None,
        history: str | Sequence[str] | None = None,
        qualifications: bool = True,
    ) -> Recommendation:
        """Next positions, skills to have and qualifications for a person.

        Args:
            position: The title that the person has.
            skills: What they can do: a list, or a text such as "sql, excel".
            history: Titles held, the oldest first: a list, or a text such as "Intern; Analyst".
            qualifications: Whether the model writes them, which takes longer than all the rest.
        """
        return self._recommender.recommend(position, skills, history, write=qualifications)

    def qualifications(
        self, position: str, on_text: Callable[[str], None] | None = None
    ) -> Qualifications | None:
        """What the model writes of a position's qualifications; None where it never saw them.

        All that it writes, of which the qualifications are a part, is handed to `on_text` as it is
        written; nothing where it was written before.
        """
        from careergpt.generation.decoding import Pieces

        pieces = Pieces(self._loaded.tokenizer, on_text) if on_text else None
        return self._recommender.qualifications(position, pieces)

    def paths(
        self,
        *,
        position: str | None = None,
        skills: str | Sequence[str] | None = None,
        history: str | Sequence[str] | None = None,
        goal: str = "",
        steps: int = 3,
    ) -> Paths:
        """The likeliest paths of several steps: onwards, or to a goal; of nobody, what leads to it.

        Args:
            position: The title that the person has.
            skills: What they can do: a list, or a text such as "sql, excel".
            history: Titles held, the oldest first: a list, or a text such as "Intern; Analyst".
            goal: The title that the paths lead to; "": wherever they lead.
            steps: How many, at most where there is a goal.
        """
        from careergpt.recommend.people import person_of

        told = {"position": position, "skills": skills, "history": history}
        asked = None
        if not goal or any(told.values()):
            asked = self._recommender.read(person_of(told, "paths"))
        return self._recommender.paths(asked, goal, steps)

    def generate(self, prompts: Sequence[str], **decoding: Any) -> list[Generated]:
        """An answer to each prompt, in their order.

        `decoding` changes what the folder says of it: max_new_tokens, greedy, temperature, top_k,
        top_p, repetition_penalty, no_repeat_ngram_size, min_new_tokens, stop, seed.
        """
        return self._generate(prompts, self._decoding(**decoding))

    def write(self, prompt: str, on_text: Callable[[str], None], **decoding: Any) -> Generated:
        """An answer that is handed to `on_text` piece by piece as it is written.

        The pieces, joined, are the answer's text but for white space at its ends. `decoding` is
        `generate`'s.
        """
        from careergpt.generation.decoding import Pieces

        pieces = Pieces(self._loaded.tokenizer, on_text)
        (answer,) = self._generate([prompt], self._decoding(**decoding), pieces)
        pieces.end()
        return answer

    def candidates(self, kind: Literal["titles", "skills"]) -> Candidates:
        """The titles or skills that may be recommended."""
        predictor = self._recommender.predictor
        return predictor.titles if kind == "titles" else predictor.skills

    def questions(self) -> list[str]:
        """A prompt of each task that the model was taught, of the titles and skills it met most."""
        from careergpt.data.tasks import Field, render_prompt, text_of

        predictor = self._recommender.predictor
        titles, skills = predictor.titles.names, predictor.rankings.candidates["skills"].names
        known: dict[str, Field] = {"titles": titles[:1], "skills": skills[:3]}
        if titles:
            known["position_title"] = titles[0]
        taught = (task for task in predictor.rankings.tasks.values() if task.weight)
        asked = (render_prompt(task, known) for task in taught)
        return [text_of(pieces) for pieces in asked if pieces]

    def _generate(
        self,
        prompts: Sequence[str],
        decoding: Decoding,
        on_token: Callable[[int, int], None] | None = None,
    ) -> list[Generated]:
        from careergpt.data.prompts import Question, check_lengths, ready_prompts
        from careergpt.data.tasks import Piece
        from careergpt.generation.decoding import generate

        _, model, tokenizer, context, form = self._loaded
        questions = [Question(str(n), (Piece(text, None),)) for n, text in enumerate(prompts)]
        ready = ready_prompts(questions, tokenizer, form)
        check_lengths(ready, context)
        batches = [ready[at : at + _SIDE_BY_SIDE] for at in range(0, len(ready), _SIDE_BY_SIDE)]
        answers = (
            generate(model, tokenizer, batch, decoding, context, on_token) for batch in batches
        )
        return [answer for some in answers for answer in some]

    def score(self, prompt: str, completion: str) -> Score:
        """What the completion costs after the prompt, in the tokens that training gives them."""
        import numpy as np

        from careergpt.data.batches import Scored, collate
        from careergpt.data.tasks import Task, prompt_completion
        from careergpt.data.tokens import Example, encode
        from careergpt.modeling.attention import dropout_off
        from careergpt.modeling.loss import perplexity, token_scores

        _, model, tokenizer, context, form = self._loaded
        fields = {"prompt": prompt, "completion": completion}
        pair = prompt_completion("", Task("{prompt}", "{completion}"), fields, form)
        if pair is None:
            raise InputError("the prompt or the completion is empty: give both")
        (example,) = encode([pair], tokenizer, context)
        if not isinstance(example, Example) or example.n_cut:
            raise InputError(
                f"prompt and completion do not fit into the {context} tokens that the model reads: "
                "shorten them"
            )
        batch = collate([[Scored(np.array(example.token_ids), example.n_prompt)]])
        with dropout_off(model):
            nats = token_scores(model, batch.to(model.device)).nats.double()
        total = float(nats.sum())
        return Score(total, len(nats), perplexity(total / len(nats)))


@dataclass(frozen=True)
class Run:
    """What a fit has left: its folder, and what it said.

    Attributes:
        folder: The run's folder.
        text: What the command would have printed.
    """

    folder: Path
    text: str

    @property
    def model(self) -> Path:
        """The fine-tuned model's folder, for `load`."""
        return self.folder / "model"

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl: losses, rates and what the titles are worth, by step."""
        with (self.folder / "metrics.jsonl").open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]


def load(
    folder: str | Path,
    *,
    device: str = "auto",
    candidates: str | Path | Sequence[str] | None = None,
    top: int = 10,
    explain: int = 3,
    exact: bool = False,
) -> Model:
    """The model of a folder that `fit` wrote; of any other, it writes and scores.

    Args:
        folder: The model folder.
        device: auto, cpu, cuda, …
        candidates: Titles to rank in place of the folder's, or a file of them.
        top: Positions and skills that are listed.
        explain: Positions, the first ones, that are explained.
        exact: Rank by the model, and explain over, all candidates, however many.
    """
    quiet_libraries()
    titles = str(candidates) if isinstance(candidates, Path) else candidates
    return Model(str(folder), device, candidates=titles, top=top, explain=explain, exact=exact)


def audit(config: str | Path | None = None, **options: Any) -> DataReport:
    """What a fit would train on: rows read, kept, dropped, cut; splits, tokens, leaks.

    Example:
        careergpt.audit(data={"source": "jobs.csv"}).kept
    """
    quiet_libraries()
    from careergpt.cli.audit import run

    with redirect_stdout(io.StringIO()):
        return run(_words(config, options))


def compare(
    baseline: str | Path,
    finetuned: str | Path | Sequence[str | Path],
    config: str | Path | None = None,
    **options: Any,
) -> Comparison:
    """Scores models on the same unseen records, and judges each one's difference from the baseline.

    The report and every score are written to `out`, by default comparison/ beside the first
    fine-tuned model's folder.

    Example:
        found = careergpt.compare(run.folder / "baseline", run.model, run.folder / "config.yaml")
        print(found.plain_words)

    Raises:
        RunEndedError: A condition of `gate` does not hold; the report is written.
    """
    quiet_libraries()
    from careergpt.cli.compare import run

    several = [finetuned] if isinstance(finetuned, str | Path) else finetuned
    words = [*_words(config, {"baseline": baseline, **options}), "--finetuned", *map(str, several)]
    with redirect_stdout(io.StringIO()):
        return run(words)


def export(folder: str | Path, out: str | Path, *, format: str = "hf", limit: int = 3) -> Agreement:
    """Writes a model folder for another runtime into a new one, and tries what was written.

    Args:
        folder: The model folder.
        out: The folder to make.
        format: hf, ctranslate2, onnx or gguf.
        limit: Titles that are asked about, by each task, in both.

    Example:
        careergpt.export(run.model, "exports/onnx", format="onnx").gap

    Raises:
        InputError: It cannot be written so, or answers otherwise than the model.
    """
    quiet_libraries()
    from careergpt.cli.export import run

    words = {"model": {"pretrained": folder}, "out": out, "format": format, "limit": limit}
    with redirect_stdout(io.StringIO()):
        return run(_words(None, words))


def fit(config: str | Path | None = None, **options: Any) -> Run:
    """Fine-tunes a model on tables of postings and careers; a run that has ended is returned as is.

    Example:
        run = careergpt.fit("configs/demo.yaml", trainer={"max_epochs": 1})
        run.metrics[-1]

    Raises:
        RunEndedError: A signal stopped it, or something outside of it broke; it can go on.
    """
    quiet_libraries()
    from careergpt.cli.runs import RunFinishedError
    from careergpt.cli.trainer import run

    with redirect_stdout(io.StringIO()) as told:
        try:
            folder = run("fit", _words(config, options))
        except RunFinishedError as finished:
            folder = finished.folder
    return Run(folder, told.getvalue())


def _words(config: str | Path | None, options: Mapping[str, Any]) -> list[str]:
    """The options as they would be typed."""
    words = [] if config is None else [f"--config={config}"]
    return [*words, *(f"--{name}={value}" for name, value in _flat(options))]


def _flat(options: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, str]]:
    for name, value in options.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{group}{name}.")
        else:
            plain = isinstance(value, str | Path)
            yield f"{group}{name}", str(value) if plain else json.dumps(value)
