"""The application: routes, and what a request is answered that no route can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

import careergpt
from careergpt.api import Model
from careergpt.errors import InputError
from careergpt.serve.guard import Guard
from careergpt.serve.messages import Refusal
from careergpt.serve.service import Service, Settings, refusal
from careergpt.serve.work import FullError, LateError

REFUSALS = (400, 401, 403, 404, 408, 413, 422, 429, 500, 503)
"""Statuses of what is not answered."""

STATIC = Path(__file__).parent / "static"

REQUESTS = Counter("careergpt_requests", "Requests by path and status.", ["path", "status"])
SECONDS = Histogram("careergpt_seconds", "Seconds until an answer's first byte.", ["path"])


def make_app(models: Mapping[str, Model], settings: Settings) -> ASGIApp:
    """The application for "finetuned" and, where there is one, "baseline"."""
    service = Service(models, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="careergpt",
        version=careergpt.__version__,
        description="Career recommendations by a fine-tuned GPT-2.",
        lifespan=lifespan,
        responses={
            # As a page to who reads pages, whatever was asked for.
            status: {"model": Refusal, "content": {"application/json": {}, "text/html": {}}}
            for status in REFUSALS
        },
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere.
        redoc_url=None,
    )
    routes: list[tuple[str, str, Callable[..., Any], type[Response]]] = [
        ("GET", "/", service.explore, HTMLResponse),
        ("GET", "/compare", service.compare, HTMLResponse),
        ("GET", "/about", service.about, HTMLResponse),
        ("GET", "/report", service.report, HTMLResponse),
        ("GET", "/health", service.health, JSONResponse),
        ("GET", "/metrics", service.metrics, Response),
        ("GET", "/suggest", service.suggest, JSONResponse),
        ("POST", "/recommend", service.recommend, JSONResponse),
        ("POST", "/paths", service.paths, JSONResponse),
        ("POST", "/qualifications", service.qualifications, StreamingResponse),
        ("POST", "/score", service.score, JSONResponse),
        ("POST", "/generate", service.generate, StreamingResponse),
        ("POST", "/blind", service.blind, StreamingResponse),
        ("POST", "/vote", service.vote, JSONResponse),
    ]
    for method, path, answer, kind in routes:
        app.add_api_route(path, answer, methods=[method], response_class=kind)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _explain_errors(app)
    known = {path for _, path, _, _ in routes}

    def told(path: str, status: int, seconds: float) -> None:
        name = path if path in known else "other"
        REQUESTS.labels(name, status).inc()
        SECONDS.labels(name).observe(seconds)

    return Guard(app, settings.hosts, settings.token, told)


def _explain_errors(app: FastAPI) -> None:
    """Whatever goes wrong is one sentence in JSON; nothing of the program is shown."""

    async def refused(_: Request, error: Exception) -> JSONResponse:
        status, sentence, headers = refusal(error)
        return JSONResponse({"error": sentence}, status, headers)

    for kind in (InputError, RequestValidationError, FullError, LateError):
        app.add_exception_handler(kind, refused)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def other(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"error": "the server failed: its log says how"}, 500)
