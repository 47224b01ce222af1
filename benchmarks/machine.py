"""The machine that a benchmark ran on: its numbers mean little without it."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "transformers", "lightning", "trl")


def describe() -> dict[str, Any]:
    """Processor, cores this process may use, memory in GiB, GPU, and the packages' versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        **{package: _version(package) for package in PACKAGES},
    }


def sentence() -> str:
    """The same in one line, for the head of a table."""
    found = describe()
    parts = [f"{found['cpu']}, {found['cores']} cores, {found['memory_gib']} GiB", found["gpu"]]
    versions = [f"{package} {found[package]}" for package in PACKAGES if found[package]]
    return "; ".join([part for part in parts if part] + [", ".join(versions)])


def processor_flags() -> set[str]:
    """What the processor says it can do, in Linux's words; elsewhere nothing is known."""
    return set(_processor_fields().get("flags", "").split())


def _processor() -> str:
    # A virtual machine may leave the model's name out; its number and widest vectors then say most.
    fields = _processor_fields()
    name = fields.get("model name") or platform.processor() or platform.machine()
    number = f" model {fields['model']}" if "model" in fields else ""
    widest = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    vectors = [flag for flag in widest if flag in processor_flags()]
    return f"{name}{number} ({', '.join(vectors)})" if vectors else name


def _processor_fields() -> dict[str, str]:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return dict(
        [part.strip() for part in line.split(":", 1)]
        for line in text.partition("\n\n")[0].splitlines()
        if ":" in line
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
