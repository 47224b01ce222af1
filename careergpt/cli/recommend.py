"""The verb recommend on the command line: people in, recommendations out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from careergpt.cli import is_read
from careergpt.cli.parsing import OneLineParser, typed_options, unless_typed
from careergpt.errors import InputError
from careergpt.modeling.folder import read_settings
from careergpt.modeling.loaded import device_named, keep_freed_memory
from careergpt.recommend.paths import paths_as_json, paths_as_text
from careergpt.recommend.people import Person, person_of, read_people
from careergpt.recommend.predictor import PersonQuery
from careergpt.recommend.recommendation import as_json, as_text
from careergpt.recommend.recommender import Recommender


def run(args: Sequence[str]) -> None:
    """Parses and runs `recommend`; answers everyone, or as many as somebody reads of."""
    parser = _parser()
    config = parser.parse_args(list(args))
    people = _people(config)
    folder = config.model.pretrained
    config = parser.parse_object({"decoding": _decoding(folder, config, args)}, config)
    made = parser.instantiate(config)
    if device_named(config.device).type == "cpu":
        keep_freed_memory()
    names = ("candidates", "device", "top", "explain", "exact", "decoding")
    recommender = Recommender.load(folder, **{name: made[name] for name in names})
    asks_paths = config.goal is not None or config.steps is not None
    if asks_paths and not people:
        _print_paths(recommender, None, config)
    # All are read before anyone is answered: a mistake in the last line shows at once.
    for number, person in enumerate([recommender.read(person) for person in people]):
        if asks_paths:
            _print_paths(recommender, person, config)
        elif config.format == "json":
            print(json.dumps(as_json(recommender.answer(person)), ensure_ascii=False))
        else:
            print(("\n\n" if number else "") + as_text(recommender.answer(person)))
        if not is_read():
            break


def _print_paths(recommender: Recommender, person: PersonQuery | None, config: Any) -> None:
    steps = {} if config.steps is None else {"steps": config.steps}
    found = recommender.paths(person, config.goal or "", **steps)
    if config.format == "json":
        print(json.dumps(paths_as_json(found), ensure_ascii=False))
    else:
        print(paths_as_text(found))


def _decoding(folder: str, config: Any, args: Sequence[str]) -> Any:
    """How the folder decodes, but for what was typed."""
    configured = config.as_dict()["decoding"]
    trained = read_settings(folder).get("decoding", configured)
    # Of all that was typed: what an option names may be a file, and --input's a large one.
    pairs = zip(args, (*args[1:], ""), strict=True)
    words = [word for pair in pairs if pair[0].startswith("--decoding") for word in pair]
    return unless_typed(trained, configured, typed_options(words).get("decoding", {}))


def _parser() -> OneLineParser:
    parser = OneLineParser(verb="recommend")
    parser.add_argument(
        "--model.pretrained", type=str, required=True, help="A fine-tuned model's folder."
    )
    texts = {
        "position": "The title that the person has.",
        "skills": "What they can do: 'sql, excel'.",
        "history": "Titles held, oldest first: 'Intern; Analyst'.",
        "input": "People from a JSON Lines file, each with position, skills or history; - is "
        "standard input.",
        "goal": "Answer with the ways to this title: from the person, or what leads to it.",
        "candidates": "Titles to rank instead of the folder's: one a line, or a table's column of "
        "titles; of a table that `tables` made, its occupations, to which titles are matched.",
    }
    parser.add_options({name: (None, text) for name, text in texts.items()})
    parser.add_argument(
        "--steps", type=int, default=None, help="Answer with paths of so many steps (to a goal: 3)."
    )
    parser.add_class_arguments(Recommender, skip={"rankings", "model"})
    parser.add_argument(
        "--format", type=Literal["text", "json"], default="text", help="Of answers."
    )
    parser.add_options({"device": ("auto", "auto, cpu, cuda, …")})
    return parser


def _people(config: Any) -> list[Person]:
    values = {name: config[name] for name in Person._fields if config[name] is not None}
    if config.input is not None:
        if values:
            raise InputError(f"--input and --{next(iter(values))}: give one of them")
        return read_people(config.input)
    if not values and config.goal is not None:
        return []
    if not values:
        raise InputError("nothing is known: give --position, --skills, --history or --input")
    return [person_of(values, "the command line")]
