"""Compose one job description from what is known of a position and the shared wording."""

import random
import re
from typing import Any

TITLED_SHARE = 0.25

Position = dict[str, Any]
Phrases = dict[str, list[str]]


def spin(rng: random.Random, text: str) -> str:
    """Replace every "(a|b)" with one of its wordings."""
    return re.sub(r"\(([^()]+)\)", lambda match: rng.choice(match[1].split("|")), text)


def draw(rng: random.Random, items: list[str], low: int, high: int) -> list[str]:
    """Draw between low and high distinct items in random order, with their wording chosen."""
    return [spin(rng, item) for item in rng.sample(items, rng.randint(low, high))]


def enumeration(items: list[str]) -> str:
    """Join items the way a sentence does."""
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]]))


def with_article(title: str) -> str:
    """Put a title into the middle of a sentence: "Electrician" becomes "an electrician"."""
    return f"{'an' if title[0] in 'AEIOU' else 'a'} {title[0].lower()}{title[1:]}"


def capitalised(text: str) -> str:
    """Raise the first letter only; str.capitalize would lower the others."""
    return text[0].upper() + text[1:]


def bullets(heading: str, items: list[str]) -> str:
    """Lay out items as a list under a heading."""
    return "\n".join([heading, *(f"- {capitalised(item)}" for item in items)])


def duties_section(rng: random.Random, position: Position, phrases: Phrases) -> str:
    """Write four to six of the position's duties, as a list or as prose."""
    duties = draw(rng, position["duties"], 4, 6)
    if rng.random() < 0.5:
        return bullets(rng.choice(phrases["duties_heading"]), duties)
    # The first sentence has nothing before it to add to, so it has openings of its own.
    frames = [rng.choice(phrases["duty_first"]), *rng.sample(phrases["duty"], len(duties) - 1)]
    return " ".join(frame.format(duty=duty) for frame, duty in zip(frames, duties, strict=True))


def qualifications_section(rng: random.Random, position: Position, phrases: Phrases) -> str:
    """Write two to four of the position's qualifications, as a list or as a sentence."""
    items = draw(rng, position["qualifications"], 2, 4)
    if rng.random() < 0.5:
        return bullets(rng.choice(phrases["qualifications_heading"]), items)
    return rng.choice(phrases["qualifications"]).format(items=enumeration(items))


def sentence(rng: random.Random, position: Position, phrases: Phrases, kind: str) -> str:
    """Write one sentence that names some of the position's skills or tools."""
    low, high = (3, 5) if kind == "skills" else (2, 3)
    return rng.choice(phrases[kind]).format(items=enumeration(draw(rng, position[kind], low, high)))


def describe(
    rng: random.Random, title: str, company: str, position: Position, phrases: Phrases
) -> str:
    """Write one job description; its sections follow the introduction in varied order."""
    kind = "intro_titled" if rng.random() < TITLED_SHARE else "intro"
    intro = rng.choice(phrases[kind]).format(
        company=company, title=with_article(title), setting=rng.choice(position["settings"])
    )
    sections = [
        duties_section(rng, position, phrases),
        qualifications_section(rng, position, phrases),
    ]
    if rng.random() < 0.25:
        sections.reverse()
    for name, share in (("skills", 0.8), ("tools", 0.6)):
        if rng.random() < share:
            text = sentence(rng, position, phrases, name)
            sections.insert(rng.randint(0, len(sections)), text)
    kinds = [*rng.sample(["benefits", "schedule"], 2), "closing"]
    outro = [spin(rng, rng.choice(phrases[kind])) for kind in kinds if rng.random() < 0.4]
    return "\n".join(filter(None, [capitalised(intro), *sections, " ".join(outro)]))
