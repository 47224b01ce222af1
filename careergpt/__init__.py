"""Fine-tunes GPT-2 on job descriptions and proves what it learned.

    import careergpt

    run = careergpt.fit("configs/demo.yaml", trainer={"max_epochs": 1})
    model = careergpt.load(run.model)
    model.recommend(position="Registered nurse").positions[0].title

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from careergpt.api import InputError, Model, Run, Score, audit, compare, fit, load

__version__ = "0.1.0"

__all__ = ["InputError", "Model", "Run", "Score", "audit", "compare", "fit", "load"]


class _Package(ModuleType):
    """The package: its names are those of `careergpt.api`, imported once one is used."""

    def __getattr__(self, name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        from careergpt import api

        return getattr(api, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})

    @property
    def compare(self) -> Any:
        """The function, though there is a room of that name; `from careergpt.compare import …`."""
        return self.__getattr__("compare")

    @compare.setter
    def compare(self, room: ModuleType) -> None:
        """Python's import would set the room here; it finds it in `sys.modules` all the same."""


sys.modules[__name__].__class__ = _Package
