"""Prints what the project needs, extras included: one requirement a line, for pip.

python .ci/requirements.py ranges    # as pyproject.toml has them
python .ci/requirements.py newest    # without ceilings
python .ci/requirements.py oldest    # each at its floor
"""

import re
import sys
import tomllib
from itertools import chain
from pathlib import Path


def without_ceiling(requirement: str) -> str:
    """`a>=1,<2` as `a>=1`."""
    return re.sub(r",\s*<[^,;]+", "", requirement)


def at_floor(requirement: str) -> str:
    """`a>=1,<2` as `a==1`."""
    if requirement.startswith("torch>"):
        return requirement  # The floor of torch is a GPU build of gigabytes, where no other lies.
    return re.sub(r">=([^,;]+).*", r"==\1", requirement)


CHANGES = {"ranges": str, "newest": without_ceiling, "oldest": at_floor}

if __name__ == "__main__":
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = chain(project["dependencies"], *project["optional-dependencies"].values())
    print("\n".join(map(CHANGES[sys.argv[1]], named)))
