"""`mosaic tools`: MCP servers, tools, what is approved of them, and calls."""

import asyncio
import json
import shlex
from typing import Any

import click

from mosaic.cli.client import connect
from mosaic.cli.output import json_line, note, plain, short_json, table
from mosaic.core.errors import InvalidInput
from mosaic.core.values import JsonObject

__all__ = ["command"]

_json = click.option("--json", "json_output", is_flag=True, help="JSON on stdout.")
_WAITING = 3
_MARKS = {"pinned": "pinned", "new": "NEW", "quarantined": "QUARANTINED", "vanished": "gone", "built-in": "-"}


def _call(ctx: click.Context, verb: str, *args: Any, execute: bool = False, **options: Any) -> JsonObject:
    async def session() -> JsonObject:
        async with connect(ctx.obj, execute=execute) as client:
            result: JsonObject = await getattr(client, verb)(*args, **options)
            return result

    return asyncio.run(session())


@click.group("tools")
def command() -> None:
    """Add MCP servers, find tools, look at what changed, call one.

    \b
    mosaic tools add docs --url https://mcp.example.com/mcp --header "Authorization=Bearer env:DOCS_TOKEN"
    mosaic tools add repo --command "uvx mcp-server-git --repository ."
    mosaic tools search "read file"
    mosaic tools show repo.git_log
    mosaic tools approve repo.git_log    accept a tool that changed
    mosaic tools call repo.git_log --arg repo_path=.
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines


@command.command("add")
@click.argument("name")
@click.option("--command", "line", help='What starts a stdio server, such as "npx -y PACKAGE".')
@click.option("--url", help="The address of a streamable HTTP server.")
@click.option("--header", "headers", multiple=True, help="NAME=VALUE; secrets as NAME=env:VARIABLE.")
@click.option("--env", "environment", multiple=True, help="NAME=VALUE for a stdio server; secrets as above.")
@click.option("--tools", "patterns", default="", help="Only these, such as 'read_*,list_*'.")
@click.option("--trust-annotations", is_flag=True, help="Believe its word for which tools only read.")
@click.option("--confined", is_flag=True, help="Keep a stdio server from changing files elsewhere.")
@click.option("--accept-new", is_flag=True, help="Approve tools that appear later as they come.")
@click.option(
    "--start-timeout", type=click.FloatRange(1, 600), help="Seconds it may take to answer at first."
)
@_json
@click.pass_context
def add(
    ctx: click.Context,
    name: str,
    line: str | None,
    url: str | None,
    headers: tuple[str, ...],
    environment: tuple[str, ...],
    patterns: str,
    trust_annotations: bool,
    confined: bool,
    accept_new: bool,
    start_timeout: float | None,
    json_output: bool,
) -> None:
    """Register an MCP server, look at its tools, and approve them as they are now."""
    wanted: JsonObject = {
        "name": name,
        "command": _split(line) if line is not None else [],
        "url": url,
        "headers": _pairs(headers, "--header"),
        "environment": _pairs(environment, "--env"),
        "tools": [part.strip() for part in patterns.split(",") if part.strip()],
        "trust_annotations": trust_annotations,
        "confined": confined,
        "accept_new": accept_new,
    }
    if start_timeout is not None:
        wanted["start_timeout_s"] = start_timeout
    shown = _call(ctx, "add_server", wanted)
    if json_output:
        json_line(shown)
        return
    note(f"{name} is registered; its {len(shown['tools'])} tools are approved as they are now.")
    _table(shown["tools"])


@command.command("servers")
@_json
@click.pass_context
def servers(ctx: click.Context, json_output: bool) -> None:
    """List the registered MCP servers."""
    shown = _call(ctx, "servers")
    if json_output:
        json_line(shown)
        return
    rows = [
        (
            item["name"],
            plain(item["url"] or shlex.join(item["command"])),
            item["states"]["pinned"],
            item["states"]["new"],
            item["states"]["quarantined"],
        )
        for item in shown["items"]
    ]
    table(
        ("server", "where", "approved", "new", "quarantined"),
        rows,
        empty="There are no registered servers. Add one: mosaic tools add NAME --command ... | --url ...",
    )


@command.command("list")
@click.option("--server", help="Only of this server or namespace.")
@click.option("--view", help="Only those of a view.")
@_json
@click.pass_context
def list_(ctx: click.Context, server: str | None, view: str | None, json_output: bool) -> None:
    """List the tools that can be called outside runs."""
    _list(_call(ctx, "tools", server=server, view=view), json_output=json_output)


@command.command("search")
@click.argument("words", nargs=-1, required=True)
@_json
@click.pass_context
def search(ctx: click.Context, words: tuple[str, ...], json_output: bool) -> None:
    """Find tools by words of their names and descriptions."""
    _list(_call(ctx, "tools", search=" ".join(words)), json_output=json_output)


@command.command("show")
@click.argument("name")
@_json
@click.pass_context
def show(ctx: click.Context, name: str, json_output: bool) -> None:
    """Show a tool: what it takes, how it stands, what changed, what is suspicious."""
    shown = _call(ctx, "tool", name)
    if json_output:
        json_line(shown)
        return
    _show(shown)


@command.command("approve")
@click.argument("name")
@click.option("--digest", help="Only if this is what the server shows now.")
@_json
@click.pass_context
def approve(ctx: click.Context, name: str, digest: str | None, json_output: bool) -> None:
    """Accept a new or changed tool as it is now."""
    if digest is None and not json_output:
        shown = _call(ctx, "tool", name)
        _show(shown)
        if shown["pin"] is not None:  # what is approved is what was shown here, even if it changes meanwhile
            digest = shown["pin"]["offered_digest"] or shown["pin"]["digest"]
    done = _call(ctx, "approve_tool", name, digest=digest)
    _said(done, f"{done['name']} is approved.", json_output=json_output)


@command.command("pin")
@click.argument("name")
@_json
@click.pass_context
def pin(ctx: click.Context, name: str, json_output: bool) -> None:
    """Accept a tool, or all tools of a server, as they are now."""
    if "." in name:
        done = _call(ctx, "approve_tool", name)
        _said(done, f"{done['name']} is pinned at {done['digest']}.", json_output=json_output)
        return
    _list(_call(ctx, "pin_server", name), json_output=json_output)


@command.command("quarantine")
@click.argument("name")
@click.option("--reason", default="", help="For those who look at it.")
@_json
@click.pass_context
def quarantine(ctx: click.Context, name: str, reason: str, json_output: bool) -> None:
    """Stop a tool from being called until somebody approves it."""
    done = _call(ctx, "quarantine_tool", name, reason=reason)
    _said(done, f"{done['name']} is in quarantine.", json_output=json_output)


@command.command("remove")
@click.argument("name")
@_json
@click.pass_context
def remove(ctx: click.Context, name: str, json_output: bool) -> None:
    """Remove a server and what is approved of it."""
    _said(_call(ctx, "remove_server", name), f"{name} is removed.", json_output=json_output)


@command.command("call")
@click.argument("name")
@click.option(
    "--arg", "pairs", multiple=True, help="NAME=VALUE; the value is JSON where it can be read as such."
)
@click.option("--arguments", "text", help="All arguments as one JSON object.")
@click.option("--view", help="With the tools of a view.")
@click.option("--why", help="A word for whoever has to approve.")
@click.option("--key", help="An idempotency key: the same call again gives the same result.")
@_json
@click.pass_context
def call(
    ctx: click.Context,
    name: str,
    pairs: tuple[str, ...],
    text: str | None,
    view: str | None,
    why: str | None,
    key: str | None,
    json_output: bool,
) -> None:
    """Call a tool, by the installation's policy. Exit status 3: a person has to answer first."""
    arguments = _arguments(pairs, text)
    shown = _call(ctx, "call_tool", name, arguments, view=view, why=why, idempotency_key=key, execute=True)
    if json_output:
        json_line(shown)
    elif shown["status"] == "waiting":
        note(f"It waits for a person: mosaic approvals show {shown['approval']}")
        note(f"Its result will be at: mosaic tools result {shown['call_id']}")
    else:
        _result(shown["result"])
    if shown["status"] == "waiting":
        ctx.exit(_WAITING)
    if shown["result"].get("is_error"):
        ctx.exit(1)


@command.command("result")
@click.argument("call_id")
@_json
@click.pass_context
def result(ctx: click.Context, call_id: str, json_output: bool) -> None:
    """Show where a call that had to wait stands, and its result."""
    shown = _call(ctx, "tool_call", call_id)
    if json_output:
        json_line(shown)
    elif shown["result"] is not None:
        _result(shown["result"])
    else:
        waits = f" for {shown['approval']}" if shown["approval"] else ""
        error = f": {shown['error']['message']}" if shown["error"] else ""
        click.echo(plain(f"{shown['state']}{waits}{error}"))
    if shown["state"] in ("working", "asking"):
        ctx.exit(_WAITING)


def _list(shown: JsonObject, *, json_output: bool) -> None:
    if json_output:
        json_line(shown)
        return
    _table(shown["items"])
    for name, error in shown["unreachable"].items():
        note(f"{plain(name)} cannot be reached: {plain(error['message'])}")


def _table(items: list[JsonObject]) -> None:
    rows = [
        (
            plain(item["name"]),
            item["risk"] or "-",
            _MARKS.get(item["state"], item["state"]),
            plain(item["reason"] or "; ".join(item["findings"]) or item["description"]).split("\n")[0][:80],
        )
        for item in items
    ]
    table(("tool", "risk", "state", "about"), rows, empty="There are no such tools.")


def _show(shown: JsonObject) -> None:
    click.echo(f"{plain(shown['name'])}  {shown['risk'] or '-'}  {shown['state']}")
    click.echo(plain(shown["description"]))
    if shown["reason"]:
        click.echo(f"In quarantine: {plain(shown['reason'])}")
    for finding in shown["findings"]:
        click.echo(f"Suspicious: {plain(finding)}")
    if shown.get("input_schema") is not None:
        click.echo(f"Arguments: {short_json(shown['input_schema'], limit=4_000)}")
    if shown["difference"]:
        click.echo(plain(shown["difference"]))


def _result(shown: JsonObject) -> None:
    content = shown["content"]
    click.echo(
        plain(content if isinstance(content, str) else json.dumps(content, indent=1, ensure_ascii=False))
    )


def _said(shown: JsonObject, text: str, *, json_output: bool) -> None:
    if json_output:
        json_line(shown)
    else:
        click.echo(plain(text))


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise InvalidInput(f"The command cannot be read: {error}.", hint="Check its quotes.") from None


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    found = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise InvalidInput(f"{option} takes NAME=VALUE.", hint="A secret is named: NAME=env:VARIABLE.")
        found[name.strip()] = value.strip()
    return found


def _arguments(pairs: tuple[str, ...], text: str | None) -> JsonObject:
    found: JsonObject = {}
    if text is not None:
        try:
            found = json.loads(text)
        except ValueError as error:
            raise InvalidInput(f"--arguments is no JSON: {error}.") from None
        if not isinstance(found, dict):
            raise InvalidInput("--arguments must be a JSON object.")
    for name, value in _pairs(pairs, "--arg").items():
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
