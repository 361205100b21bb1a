"""The command `sweeper storage serve`: parse, call, print."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sweeper.commands.terms import Overrides, StudyFile

LOOPBACK = "127.0.0.1"
PORT = 13000  # Optuna's own choice

storage = typer.Typer(
    name="storage",
    help="Serves a study's storage to workers on other machines.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@storage.callback()
def options() -> None:
    """Serves a study's storage to workers on other machines."""


@storage.command()
def serve(
    study: StudyFile,
    overrides: Overrides = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; only this machine if not given.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65_535)] = PORT,
) -> None:
    """Serve the study's storage by gRPC until a signal comes: workers name it grpc://HOST:PORT.

    Where the study itself names a grpc:// address, its folder's own database is served.
    """
    from sweeper.search.storage import make_folder, served_address
    from sweeper.search.storages.serving import serve_storage
    from sweeper.study import load_study

    spec = load_study(study, overrides or [])
    make_folder(spec.output_folder)
    address = served_address(spec)
    if host not in (LOOPBACK, "localhost", "::1"):
        print(
            f"Whoever can reach port {port} can change the study: there is no password, and "
            "nothing is encrypted",
            file=sys.stderr,
        )
    print(f"Serving {address} as grpc://{host}:{port}; Ctrl-C ends it", file=sys.stderr)
    serve_storage(address, host, port)
