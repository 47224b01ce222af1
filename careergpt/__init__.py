"""Fine-tunes GPT-2 on job descriptions and proves what it learned.

    import careergpt

    run = careergpt.fit("configs/demo.yaml", trainer={"max_epochs": 1})
    model = careergpt.load(run.model)
    model.recommend(position="Registered nurse").positions[0].title

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from careergpt.api import (
        InputError,
        Model,
        Run,
        Score,
        audit,
        compare,
        export,
        fit,
        load,
    )
else:
    # A room bears the public function's name. Imported here, Python sets that name once and no
    # more; taken away, it is found below. `from careergpt.compare import …` finds the room.
    from careergpt import compare

    del compare

__version__ = "0.1.0"

__all__ = ["InputError", "Model", "Run", "Score", "audit", "compare", "export", "fit", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from careergpt import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
