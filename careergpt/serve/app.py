"""The application: routes, and what a request is answered that no route can."""

from __future__ import annotations

import math
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
from careergpt.serve.service import Service, Settings, reason
from careergpt.serve.work import FullError, LateError

REFUSALS = (400, 401, 403, 408, 413, 422, 429, 500, 503)
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
        responses={status: {"model": Refusal} for status in REFUSALS},
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere.
        redoc_url=None,
    )
    routes: list[tuple[str, str, Callable[..., Any], type[Response]]] = [
        ("GET", "/", service.explore, HTMLResponse),
        ("GET", "/compare", service.compare, HTMLResponse),
        ("GET", "/about", service.about, HTMLResponse),
        ("GET", "/health", service.health, JSONResponse),
        ("GET", "/metrics", service.metrics, Response),
        ("GET", "/suggest", service.suggest, JSONResponse),
        ("POST", "/recommend", service.recommend, JSONResponse),
        ("POST", "/score", service.score, JSONResponse),
        ("POST", "/generate", service.generate, StreamingResponse),
        ("POST", "/blind", service.blind, StreamingResponse),
        ("POST", "/vote", service.vote, JSONResponse),
    ]
    for method, path, answer, kind in routes:
        app.add_api_route(path, answer, methods=[method], response_class=kind)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _explain_errors(app)
    _count_requests(app)
    return Guard(app, settings.hosts, settings.token)


def _explain_errors(app: FastAPI) -> None:
    """Whatever goes wrong is one sentence in JSON; nothing of the program is shown."""

    def handle(kind: type[Exception], status: int, headers: dict[str, str] | None = None) -> None:
        async def told(_: Request, error: Exception) -> JSONResponse:
            return JSONResponse({"error": reason(error)}, status, headers)

        app.add_exception_handler(kind, told)

    handle(InputError, 400)
    handle(RequestValidationError, 422)
    handle(LateError, 503, {"retry-after": "5"})

    @app.exception_handler(FullError)
    async def full(_: Request, error: FullError) -> JSONResponse:
        wait = {"retry-after": str(math.ceil(error.after))}
        return JSONResponse({"error": "too many ask at once: ask again shortly"}, 429, wait)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def other(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"error": "the server failed: its log says how"}, 500)


def _count_requests(app: FastAPI) -> None:
    @app.middleware("http")
    async def counted(request: Request, call_next: Any) -> Response:
        route = request.scope.get("path", "")
        known = route if route in {getattr(one, "path", "") for one in app.routes} else "other"
        with SECONDS.labels(known).time():
            response: Response = await call_next(request)
        REQUESTS.labels(known, response.status_code).inc()
        return response
