"""What was typed, as opposed to configured: it wins over what a model folder says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml


def typed_options(words: Sequence[str]) -> dict[str, Any]:
    """The typed options as nested names: `--model.lr 1` as {"model": {"lr": …}}.

    Only the names matter. A group's own value, `--model '{"lr": 1}'` or a file that holds it, names
    what it holds; any other mapping was typed as a whole.
    """
    typed: dict[str, Any] = {}
    for place, word in enumerate(words):
        if not word.startswith("--"):
            continue
        name, given, value = word[2:].partition("=")
        following = words[place + 1] if place + 1 < len(words) else ""
        value = value if given else following
        *groups, last = name.split(".")
        inside = typed
        for group in groups:
            inside = inside.setdefault(group, {})
            if not isinstance(inside, dict):
                break
        else:
            # A group's mapping names its options; an option's own is its whole value.
            named = value if groups else _named_in(value)
            before = inside.get(last)
            if isinstance(before, dict) and isinstance(named, dict):
                named = {**before, **named}
            inside[last] = named
    return typed


def unless_typed(told: Any, configured: Any, typed: Any) -> Any:
    """What a folder tells, part by part, but for the parts that were typed: those are configured.

    Args:
        told: What the folder says.
        configured: What the command line and its files came to.
        typed: The part of `typed_options` for this; an empty mapping where nothing was typed.
    """
    if not isinstance(typed, dict):
        return configured
    if not (isinstance(told, dict) and isinstance(configured, dict)):
        return told  # A task of the folder's own, say, which no configuration names.
    return {
        name: unless_typed(told[name], configured.get(name), typed.get(name, {}))
        if name in told
        else configured[name]
        for name in {**told, **typed}
    }


def _named_in(value: str) -> Any:
    try:
        held = yaml.safe_load(value)
        if isinstance(held, str) and Path(held).is_file():
            held = yaml.safe_load(Path(held).read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeError):
        return value
    return dict.fromkeys(held, "") if isinstance(held, dict) else value
