"""The verb recommend on the command line: people in, recommendations out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from careergpt.cli.output import is_read
from careergpt.cli.parsing import OneLineParser
from careergpt.cli.typed import typed_options, unless_typed
from careergpt.data.datamodule import DEFAULT_TASKS
from careergpt.data.tasks import Task, check_tasks
from careergpt.errors import InputError
from careergpt.modeling.folder import read_settings
from careergpt.modeling.loaded import device_named, find_model
from careergpt.recommend.answer import as_json, as_text
from careergpt.recommend.knowledge import Knowledge
from careergpt.recommend.listed import read_candidates
from careergpt.recommend.people import Person, person_of, read_people
from careergpt.recommend.recommender import Recommender, Wish
from careergpt.training.memory import keep_freed_memory


def run_recommend(args: Sequence[str]) -> None:
    """Parses and runs `recommend`."""
    parser = _parser()
    config = parser.parse_args(list(args))
    people = _people(config)
    source = find_model(config.model.pretrained)
    settings = read_settings(config.model.pretrained)
    if "decoding" in settings:
        # Of all that was typed: what an option names may be a file, and --input's a large one.
        pairs = zip(args, (*args[1:], ""), strict=True)
        own = [word for pair in pairs if pair[0].startswith("--decoding") for word in pair]
        typed = typed_options(own).get("decoding", {})
        told = unless_typed(settings["decoding"], config.as_dict()["decoding"], typed)
        config = parser.parse_object({"decoding": told}, config)
    made = parser.instantiate(config)
    wish = Wish(**{field.name: made[field.name] for field in fields(Wish)})
    tasks = _tasks(settings)
    knowledge = Knowledge.load(tasks, settings, Path(config.model.pretrained), peers=False)
    if config.candidates is not None:
        knowledge = knowledge.with_titles(read_candidates(config.candidates))
    device = device_named(config.device)
    if device.type == "cpu":
        keep_freed_memory()
    recommender = Recommender(tasks, knowledge, source.load(device), wish)
    for person in people:
        recommender.check(person)
    _answer(recommender, people, config.format)


def _answer(recommender: Recommender, people: Sequence[Person], form: str) -> None:
    """Answers everyone, or as many as somebody reads of."""
    for number, person in enumerate(people):
        found = recommender.recommend(person)
        if form == "json":
            print(json.dumps(as_json(found), ensure_ascii=False))
        else:
            print(("\n\n" if number else "") + as_text(found))
        if not is_read():
            break


def _parser() -> OneLineParser:
    parser = OneLineParser(
        verb="recommend",
        prog="main.py recommend",
        description="Recommend positions, skills and qualifications for a position or skills.",
    )
    parser.add_argument(
        "--model.pretrained", type=str, required=True, help="A fine-tuned model's folder."
    )
    parser.add_argument("--position", type=str, default=None, help="The title that the person has.")
    parser.add_argument("--skills", type=str, default=None, help="What they can do: 'sql, excel'.")
    parser.add_argument(
        "--history", type=str, default=None, help="Titles held, oldest first: 'Intern; Analyst'."
    )
    parser.add_argument(
        "--input",
        type=str,
        default=None,
        help="People from a JSON Lines file, each with position, skills or history; - is standard "
        "input.",
    )
    parser.add_argument(
        "--candidates",
        type=str,
        default=None,
        help="Titles to rank instead of the folder's: one a line, or a table's column of titles.",
    )
    parser.add_class_arguments(Wish)
    parser.add_argument(
        "--format", type=Literal["text", "json"], default="text", help="Of answers."
    )
    parser.add_argument("--device", type=str, default="auto", help="auto, cpu, cuda, …")
    return parser


def _people(config: Any) -> list[Person]:
    told = {name: config[name] for name in Person._fields if config[name] is not None}
    if config.input is not None:
        if told:
            raise InputError(f"--input and --{next(iter(told))}: give one of them")
        return read_people(config.input)
    if not told:
        raise InputError("nothing is known: give --position, --skills, --history or --input")
    return [person_of(told, "the command line")]


def _tasks(settings: dict[str, Any]) -> dict[str, Task]:
    if "tasks" not in settings:
        return dict(DEFAULT_TASKS)
    try:
        tasks = {name: Task(**task) for name, task in settings["tasks"].items()}
        check_tasks(tasks)
    except (TypeError, AttributeError) as error:
        raise InputError(f"careergpt.json: its tasks cannot be read ({error})") from None
    return tasks
