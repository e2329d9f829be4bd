"""`mosaic policy`: which tool calls run, ask or are refused, and why; what people answered for more than one call."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from mosaic.cli.keys import with_client
from mosaic.cli.output import ago, json_line, plain, short_json, table
from mosaic.core.errors import InvalidInput, NotFound
from mosaic.core.values import JsonObject, JsonValue

__all__ = ["command"]

_JSON = click.option("--json", "json_output", is_flag=True, help="JSON on stdout.")
_POLICY = click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A policy.yaml to use instead of the installation's.",
)
_PERMISSIONS = click.option(
    "--permissions",
    "permissions_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A permissions.cedar to use instead of the installation's.",
)
_CASES = ("policy-tests.yaml", "policy-tests.yml")
_COLOURS = {"allow": "green", "ask": "yellow", "deny": "red"}


@click.group("policy")
def command() -> None:
    """Check, test and explain the policy for tool calls; list and revoke what people answered.

    \b
    mosaic policy check
    mosaic policy test
    mosaic policy explain files.write --arg path=secrets/key --agent coder
    mosaic policy rules
    mosaic policy revoke trl_...
    mosaic policy versions

    The policy is `policy.yaml` and `permissions.cedar` in the data folder.
    """  # noqa: D301  # \b is click's mark for a block that keeps its lines


@command.command("check")
@_POLICY
@_PERMISSIONS
@_JSON
@click.pass_context
def check(
    ctx: click.Context, policy_file: Path | None, permissions_file: Path | None, json_output: bool
) -> None:
    """Say everything that is wrong in the policy's files.

    Every problem with its line and column. Exit status 2 when there is one. Works without a server.
    """
    from mosaic.app.policy_operations import checked_policy

    files, shown_as = _files(ctx.obj, policy_file, permissions_file)
    found = checked_policy(files)
    for problem in found["problems"]:
        problem["file"] = shown_as.get(problem["file"], problem["file"])
    if json_output:
        json_line(found)
    else:
        for problem in found["problems"]:
            tip = f" ({problem['suggestion']})" if problem["suggestion"] else ""
            where = f"{problem['file']}:{problem['line']}:{problem['column']}"
            click.echo(plain(f"{where}: {problem['message']}{tip}"))
        for said in found["notes"]:
            click.echo(plain(f"! {said}"))
        if found["valid"]:
            names = " and ".join(shown_as.values()) or "No policy files"
            click.echo(f"{names}: valid, {found['rules']} rules, {found['permissions']} permissions")
    sys.exit(0 if found["valid"] else 2)


@command.command("test")
@click.argument("cases", required=False, type=click.Path(path_type=Path, dir_okay=False))
@_POLICY
@_PERMISSIONS
@_JSON
@click.pass_context
def test(
    ctx: click.Context,
    cases: Path | None,
    policy_file: Path | None,
    permissions_file: Path | None,
    json_output: bool,
) -> None:
    """Judge the calls of CASES by the policy and compare with what is expected.

    CASES is `policy-tests.yaml` here or in the data folder, unless it is given. Exit status 1 with a diff when a
    case is not as expected, 2 when a file is wrong. Nothing is called, and no server is needed.
    """
    from mosaic.app.policy_operations import tested_policy
    from mosaic.app.run_tools import base_policy
    from mosaic.app.settings import load_settings
    from mosaic.core.context import Actor, Context
    from mosaic.tools import Toolboxes, ToolSettings
    from mosaic.tools.policies import PolicyJudge, policy_of

    settings = load_settings(ctx.obj)
    files, shown_as = _files(ctx.obj, policy_file, permissions_file)
    found = _cases_file(cases, settings.home)
    result = tested_policy(
        policy_of(files, shown_as=shown_as),
        _text(found),
        str(found),
        base=base_policy(settings),
        tools=Toolboxes(ToolSettings(), data_dir=settings.home).registered(),
        ctx=Context(settings.tenant, settings.project, Actor("user", "owner")),
        judge=PolicyJudge(),
    )
    if json_output:
        json_line(result)
    else:
        for item in result["items"]:
            if item["passed"]:
                continue
            click.echo(plain(f"FAILED {item['name']} ({item['place']})"))
            for line in item["difference"]:
                click.echo(plain(f"  {line}"))
        click.echo(f"{result['passed']} passed, {result['failed']} failed")
    sys.exit(1 if result["failed"] else 0)


@command.command("explain")
@click.argument("tool")
@click.option(
    "--arg",
    "arguments",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument of the call; JSON, else text. May be repeated.",
)
@click.option("--agent", help="The agent that calls.")
@click.option("--workflow", help="The workflow of its run.")
@click.option("--project", help="Default: the installation's.")
@click.option("--actor", help="Whom the run belongs to, such as user:ada. Default: the owner.")
@click.option("--run", help="The run, for its cost and for what was answered for it.")
@click.option("--risk", help="The risk class, for a tool that is not known here.")
@click.option(
    "--effect",
    "effects",
    multiple=True,
    help="An effect, for a tool that is not known here. May be repeated.",
)
@_POLICY
@_PERMISSIONS
@_JSON
@click.pass_context
def explain(
    ctx: click.Context,
    /,
    tool: str,
    arguments: tuple[str, ...],
    effects: tuple[str, ...],
    policy_file: Path | None,
    permissions_file: Path | None,
    json_output: bool,
    **given: str | None,
) -> None:
    """Say what would become of a call of TOOL, and why.

    Which rules looked, which decided, and what would have to change for another decision. Nothing is called.
    """
    wanted: JsonObject = {"tool": tool, "arguments": dict(_argument(text) for text in arguments)}
    wanted |= {name: value for name, value in given.items() if value}
    if effects:
        wanted["effects"] = list(effects)
    if policy_file is not None or permissions_file is not None:
        wanted["files"], _ = _files(ctx.obj, policy_file, permissions_file)
    shown = with_client(ctx, lambda client: client.explain_policy(wanted))
    if json_output:
        json_line(shown)
        return
    first, *rest = shown["summary"]
    click.echo(click.style(plain(first), fg=_COLOURS[shown["decision"]], bold=True))
    for line in (*rest, *shown["notes"]):
        click.echo(plain(line))


@command.command("rules")
@click.option("--project", help="Only standing rules of this project.")
@click.option("--run", "run_id", help="Only standing rules that this run's approvals made.")
@click.option("--revoked", is_flag=True, help="Also standing rules that hold no longer.")
@_JSON
@click.pass_context
def rules(
    ctx: click.Context, project: str | None, run_id: str | None, revoked: bool, json_output: bool
) -> None:
    """List the rules of the policy, and the standing rules that answers have made."""
    shown = with_client(
        ctx, lambda client: client.policy_rules(project=project, run_id=run_id, revoked=revoked)
    )
    if json_output:
        json_line(shown)
        return
    table(
        ("rule", "effect", "about", "reason", "until"),
        [
            (
                plain(rule["name"]),
                rule["effect"],
                plain(_about(rule)),
                plain(rule["reason"]) or "-",
                rule["expires_at"] or "-",
            )
            for rule in shown["items"]
        ],
        empty="There are no rules in policy.yaml. docs/policy.md shows how to write some.",
    )
    click.echo()
    table(
        ("standing rule", "tool", "arguments", "holds for", "made by", "made", "state"),
        [
            (
                rule["id"],
                plain(rule["tool"]),
                plain(_pattern(rule["arguments"])),
                rule["run_id"] if rule["scope"] == "run" else f"all runs of {plain(rule['project'])}",
                plain(rule["created_by"]),
                ago(rule["created_at"]),
                "revoked" if rule["revoked_at"] else "in force",
            )
            for rule in shown["standing"]
        ],
        empty="There are no standing rules: nobody answered `for this run` or `always`.",
    )


@command.command("revoke")
@click.argument("rule_id", metavar="ID")
@_JSON
@click.pass_context
def revoke(ctx: click.Context, rule_id: str, json_output: bool) -> None:
    """Make a standing rule hold no longer, on every node at once."""
    shown = with_client(ctx, lambda client: client.revoke_policy_rule(rule_id))
    if json_output:
        json_line(shown)
        return
    click.echo(f"{shown['id']} holds no longer: {plain(shown['tool'])} is asked about again.")


@command.command("versions")
@click.argument("version", required=False)
@_JSON
@click.pass_context
def versions(ctx: click.Context, version: str | None, json_output: bool) -> None:
    """List the versions of the policy that were in force; with VERSION, print its files."""
    if version is not None:
        kept = with_client(ctx, lambda client: client.policy_version(version))
        if json_output:
            json_line(kept)
            return
        for name, text in kept["content"].items():
            click.echo(f"# {name} of {kept['version']}")
            click.echo(plain(text))
        return
    shown = with_client(ctx, lambda client: client.policy_versions())
    if json_output:
        json_line(shown)
        return
    table(
        ("version", "files", "rules", "in force since", ""),
        [
            (
                item["version"],
                ", ".join(item["files"]),
                item["rules"],
                ago(item["first_used_at"]),
                "now" if item["version"] == shown["current"] else "",
            )
            for item in shown["items"]
        ],
        empty="There was no policy file yet.",
    )


def _argument(text: str) -> tuple[str, JsonValue]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint="--arg")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _files(
    home: Path | None, policy_file: Path | None, permissions_file: Path | None
) -> tuple[JsonObject, dict[str, str]]:
    """Return the policy's files, name -> content, and where each one is."""
    from mosaic.app.settings import find_home
    from mosaic.tools.policies import PERMISSIONS_NAME, POLICY_NAMES

    folder = home or find_home()
    chosen: dict[str, Path] = {}
    own = next((folder / name for name in POLICY_NAMES if (folder / name).is_file()), None)
    if (policy := policy_file or own) is not None:
        chosen[POLICY_NAMES[0]] = policy
    permissions = permissions_file or folder / PERMISSIONS_NAME
    if permissions.exists():
        chosen[PERMISSIONS_NAME] = permissions
    return {name: _text(path) for name, path in chosen.items()}, {
        name: str(path) for name, path in chosen.items()
    }


def _cases_file(given: Path | None, home: Path) -> Path:
    looked = [given] if given is not None else [folder / name for folder in (Path(), home) for name in _CASES]
    found = next((path for path in looked if path.is_file()), None)
    if found is None:
        raise NotFound(
            f"There is no {' or '.join(str(path) for path in looked)}.",
            hint="docs/policy.md shows how to write tests of a policy.",
        )
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from None


def _about(rule: JsonObject) -> str:
    parts = [f"{name} {_few(value)}" for name, value in rule["match"].items()]
    parts += [f"when {rule['when']}"] if rule["when"] else []
    return "; ".join(parts) or "everything"


def _few(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_few(item)}" for name, item in value.items())
    return " or ".join(str(item) for item in value)


def _pattern(arguments: JsonObject | None) -> str:
    return "any" if arguments is None else short_json(arguments)
