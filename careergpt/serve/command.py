"""The verb serve on the command line."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from careergpt.cli.parsing import OneLineParser
from careergpt.errors import InputError, extra
from careergpt.serve import SECONDS, WAIT

TOKEN = "CAREERGPT_TOKEN"
"""The environment variable that holds the token."""

DRAIN_SECONDS = 30
"""After SIGTERM, what has been asked is still answered for so long."""

DAY = 86_400


def run(args: Sequence[str]) -> None:
    """Parses and runs `serve`, until a signal ends it."""
    config = _parser().parse_args(list(args))
    with extra("app", "serve"):
        import uvicorn

        from careergpt.serve.app import make_app
        from careergpt.serve.guard import TimedConnection
        from careergpt.serve.service import Settings
        from careergpt.serve.votes import Votes
    token = os.environ.get(TOKEN) or None
    local = is_loopback(config.host)
    if not local and token is None:
        raise InputError(
            f"--host {config.host}: others could ask this server: set {TOKEN} to a secret that "
            "they must send, or serve 127.0.0.1"
        )
    for name, least, most in (("port", 0, 65_535), ("wait", 0, DAY), ("seconds", 1, DAY)):
        if not least <= config[name] <= most:
            raise InputError(f"--{name} must be {least} to {most:,}, found {config[name]}")
    votes, listening = Votes(Path(config.votes)), _bound(config.host, config.port)
    from careergpt.api import load

    named = {"finetuned": config.model.pretrained, "baseline": config.baseline}
    models = {name: load(folder, device=config.device) for name, folder in named.items() if folder}
    models["finetuned"].candidates("titles")
    with suppress(InputError):  # What unknown names need is made now: nobody waits for it.
        models["finetuned"].recommend(
            position="no known title", skills=["no known skill"], qualifications=False
        )
    hosts = ("127.0.0.1", "localhost", "::1", config.host) if local else None
    app = make_app(models, Settings(votes, config.wait, config.seconds, hosts, token))
    server = uvicorn.Server(uvicorn.Config(
        app, http=TimedConnection, ws="none", log_level="warning", server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    ))  # fmt: skip
    listening.listen()
    host = f"[{config.host}]" if ":" in config.host else config.host
    print(f"Serving http://{host}:{listening.getsockname()[1]} until Ctrl-C")
    server.run([listening])


def _bound(host: str, port: int) -> socket.socket:
    """A socket of the address, on which nobody listens yet: connections wait for no model."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise InputError(f"--host {host} --port {port}: {error.strerror}: choose others") from None
    return bound


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parser() -> OneLineParser:
    parser = OneLineParser(verb="serve")
    parser.add_argument(
        "--model.pretrained", type=str, required=True, help="A fine-tuned model's folder."
    )
    own = f"Address to listen on; other than this machine's own, {TOKEN} must be set."
    parser.add_options({
        "baseline": (None, "The model that it is compared with, a folder or a hub name."),
        "host": ("127.0.0.1", own),
        "votes": ("votes.jsonl", "File of the votes of blind comparisons."),
        "device": ("auto", "auto, cpu, cuda, …"),
        "port": (7860, "Port to listen on; 0: any free one."),
        "wait": (WAIT, "Seconds to an answer behind others'; later: told to come back (429)."),
        "seconds": (SECONDS, "The most that a request may take."),
    })  # fmt: skip
    return parser
