"""`mosaic init`: a data folder, commented settings and the owner's token."""

import os
from pathlib import Path

import click

from mosaic.cli.output import json_line

__all__ = ["command"]

_CONFIG = """\
# MosAIc settings. Everything here is optional; docs/reference/cli.md lists them all.
# Secrets do not belong in this file: keys come from ANTHROPIC_API_KEY, OPENAI_API_KEY, MOSAIC_DATABASE_URL...
# A variable overrides a line: MOSAIC_SERVER__PORT=8123 sets server.port.

# server: {host: 127.0.0.1, port: 8420}
# storage: {url: "postgresql://mosaic@127.0.0.1/mosaic"}   # empty: SQLite in this folder
# engine: {retry_budget: 20, max_recoveries: 5}
# pools: {default: {concurrency: 100}}                     # agent jobs at once
# providers: {ollama: {base_url: "http://127.0.0.1:11434"}}
# inference: {defaults: [anthropic, openai, ollama]}       # what an agent without a model gets, best first
# cost: {prices: {"openai:my-*": {input_usd_per_mtok: 1, output_usd_per_mtok: 4}}, unpriced: refuse}
# tools: {mcp_servers: {ops: {command: [ops-mcp], env: {OPS_TOKEN: {secret: OPS_TOKEN}}}}}
# policies: {network: ask}                                 # workflows may narrow it, never widen a deny
# approvals: {timeout_s: 86400, on_timeout: deny}
# limits: {usd: 5.0}                                       # hard budget of a run that names none
# logs: {level: WARNING, style: text}
"""


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("--json", "json_output", is_flag=True, help="One JSON object on stdout.")
@click.pass_context
def command(ctx: click.Context, folder: Path | None, json_output: bool) -> None:
    """Prepare FOLDER (default: here): `.mosaic/` with commented settings and the owner's token. Safe to repeat.

    Without FOLDER, MOSAIC_HOME and --home name the data folder itself.

    \b
    mosaic init
    mosaic init ~/work/shop && cd ~/work/shop && mosaic up
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines
    from mosaic.app.config_file import find_config
    from mosaic.app.home import make_home
    from mosaic.app.owner import owner_token

    configured = os.environ.get("MOSAIC_HOME") if folder is None else None
    chosen = Path(configured).expanduser() if configured else (folder or Path()) / ".mosaic"
    home: Path = ctx.obj or chosen.absolute()
    make_home(home)
    config = find_config(home)
    made = config is None
    if config is None:
        config = home / "config.yaml"
        config.write_text(_CONFIG, encoding="utf-8")
    owner_token(home)
    if json_output:
        json_line({"type": "result", "home": str(home), "config": str(config), "created": made})
    else:
        click.echo(f"{home}  {'is ready' if made else 'was ready already; nothing changed'}")
        click.echo("next: mosaic up")
