"""Messages over HTTP: the bounds of every field, checked before a character is read on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from careergpt.data.text_files import HALF_CHARACTER


def _whole(text: str) -> str:
    if HALF_CHARACTER.search(text):
        raise ValueError("holds half a character, a lone surrogate: write it anew as UTF-8")
    return text


Text = Annotated[str, Field(max_length=2_000), AfterValidator(_whole)]
"""As long as an answer may be, and longer than any title."""

Name = Annotated[str, Field(max_length=200), AfterValidator(_whole)]
Side = Literal["finetuned", "baseline"]


class Message(BaseModel):
    """A request's body: unknown fields are refused, as mistyped ones would pass unseen."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Refusal(BaseModel):
    """What every answer of a status from 400 on holds."""

    error: str = Field(description="What is wrong and what to do, in one sentence.")


class Person(Message):
    """Somebody of whom something is told."""

    position: Name | None = Field(None, examples=["Registered nurse"])
    skills: Text | Annotated[list[Name], Field(max_length=100)] | None = Field(
        None, examples=[["triage", "patient care"]]
    )
    history: Text | Annotated[list[Name], Field(max_length=50)] | None = Field(
        None, examples=[["Nursing assistant"]]
    )


class Recommend(Person):
    """A person, and whether the model writes qualifications, which takes longer than the rest."""

    qualifications: bool = True


class Paths(Person):
    """Somebody who asks for several moves ahead, or for the ways to a goal."""

    goal: Name = Field("", examples=["Nurse manager"])
    steps: int = Field(2, ge=1, le=3)


class Position(Message):
    """A position of which is asked what it asks for."""

    position: Annotated[Name, Field(min_length=1)] = Field(examples=["Registered nurse"])


class Generate(Message):
    """A prompt to answer; the answer comes as server-sent events, a piece at a time."""

    prompt: Annotated[Text, Field(min_length=1)] = Field(
        examples=["Tell me about the qualifications required for a Data scientist."]
    )
    model: Side = "finetuned"
    max_new_tokens: int = Field(128, ge=1, le=512)
    seed: int = Field(0, ge=0, lt=2**31)
    greedy: bool = False


class Scored(Message):
    """A completion whose cost is asked for."""

    prompt: Annotated[Text, Field(min_length=1)] = Field(
        examples=["Which skills does a nurse need?"]
    )
    completion: Annotated[Text, Field(min_length=1)] = Field(examples=["Triage"])
    model: Side = "finetuned"


class Vote(Message):
    """Which of two answers, shown without their models' names, somebody prefers."""

    prompt: Annotated[Text, Field(min_length=1)]
    draw: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    preferred: Literal["A", "B", "tie"]


class Blind(Message):
    """A prompt to answer by one of two models whose names are not told."""

    prompt: Annotated[Text, Field(min_length=1)]
    draw: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    side: Literal["A", "B"]
    max_new_tokens: int = Field(128, ge=1, le=512)
