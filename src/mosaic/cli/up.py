"""`mosaic up`: the server, on loopback unless told otherwise."""

import sys
from pathlib import Path

import click

from mosaic.core.values import JsonObject

__all__ = ["command"]


@click.command("up")
@click.option("--host", help="Address to bind (default 127.0.0.1; anything else needs MOSAIC_OWNER_TOKEN).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port (default 8420; 0 picks a free one).")
@click.option("--no-example", is_flag=True, help="Do not run the example team on an empty installation.")
@click.pass_context
def command(ctx: click.Context, host: str | None, port: int | None, no_example: bool) -> None:
    """Start MosAIc here and print its address. Ctrl-C stops it cleanly; runs continue on the next start.

    On an empty installation the example team runs once, so that there is something to see.
    """
    from mosaic.app.settings import load_settings

    server: JsonObject = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    home: Path | None = ctx.obj
    settings = load_settings(home, overrides={"server": server} if server else None)

    from mosaic.server import serve

    sys.exit(serve(settings, example=not no_example))
