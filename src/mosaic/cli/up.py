"""`mosaic up`: the server, on loopback unless told otherwise."""

import sys

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

    On an empty installation the example team runs once, so that there is something to see. Other commands in this
    folder find the server by themselves and talk to it.

    \b
    mosaic up
    mosaic up --port 0 --no-example
    MOSAIC_OWNER_TOKEN=... mosaic up --host 0.0.0.0
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines
    from mosaic.app.settings import load_settings

    server: JsonObject = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    settings = load_settings(ctx.obj, overrides={"server": server} if server else None)

    from mosaic.server import serve

    sys.exit(serve(settings, example=not no_example))
