"""Steps that act on the world, each through the tool door: tool, run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mosaic.core.errors import (
    ContractViolation,
    InvalidInput,
    PolicyDenied,
    TimedOut,
    ToolFailed,
)
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import RetryPolicy
from mosaic.tools import ApprovalNeeded, Toolbox, ToolDeclaration, ToolResult
from mosaic.workflows.expressions import ShellTemplate, Template
from mosaic.workflows.interpreter.frame import Here
from mosaic.workflows.interpreter.paths import numbered, tag
from mosaic.workflows.interpreter.people import decided
from mosaic.workflows.interpreter.retrying import retry_policy
from mosaic.workflows.steps import Retry, RunStep, ToolStep

__all__ = ["Command", "call_tool", "command_of", "failed", "run_command", "run_run", "run_tool"]

SHELL_TOOL = "shell.run"

_MOST_ENVIRONMENT = 120_000
"""Bytes of one environment variable: the kernel refuses more than 128 KiB."""


async def call_tool(
    here: Here,
    name: str,
    tool: str,
    arguments: JsonObject,
    *,
    timeout_s: float | None = None,
    retry: Retry | None = None,
    toolbox: Toolbox | None = None,
) -> ToolResult:
    """Call a tool through the door, waiting for a person if one has to answer first."""
    run = here.run
    toolbox = toolbox or run.toolbox
    if timeout_s is not None:
        toolbox = toolbox.narrowed([ToolDeclaration(tool, timeout_s=timeout_s)])
    policy: RetryPolicy | None = retry_policy(retry) if retry is not None else None
    while True:
        try:
            async with run.slots:
                with run.touching_files():
                    return await run.services.door.call(
                        here.effects,
                        name,
                        tool=tool,
                        arguments=arguments,
                        toolbox=toolbox,
                        policy=run.policy,
                        workspace=run.workspace,
                        retry=policy,
                        why=f"The workflow's step {here.path} calls it.",
                    )
        except ApprovalNeeded as asked:
            approval_id = str(asked.data["approval_id"])
        with here.deadline.paused():
            await decided(run, here.path, (approval_id,))


async def run_tool(step: ToolStep, here: Here) -> JsonValue:
    """Call the tool and return what it gave back."""
    arguments = step.with_.evaluate(here.scope) if step.with_ is not None else {}
    if not isinstance(arguments, dict):
        raise InvalidInput(f"`with` of {here.path!r} must give an object: the arguments of {step.tool!r}.")
    name = numbered("call", tag(here.number))
    result = await call_tool(here, name, step.tool, arguments, timeout_s=step.timeout_s, retry=step.retry)
    if result.is_error:
        raise failed(step.tool, result)
    return result.content


def failed(tool: str, result: ToolResult) -> ToolFailed | PolicyDenied:
    """Return the error for a result that says it failed, or that a person said no."""
    content = result.content
    if isinstance(content, dict) and content.get("error") == "not_approved":
        return PolicyDenied(str(content.get("message")), tool=tool, approval=content.get("approval"))
    shown = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return ToolFailed(f"{tool} failed: {shown[:1000]}", tool=tool, content=content)


@dataclass(frozen=True, slots=True)
class Command:
    """A command as a step or a check holds it, with its expressions evaluated.

    Attributes:
        argv: program and arguments; a script is ``sh -c``.
        shown: how people know it.
        directory: inside the workspace.
    """

    argv: tuple[str, ...]
    shown: str
    directory: str = "."


def command_of(
    shell: ShellTemplate | None,
    argv: Sequence[Template] | None,
    scope: Mapping[str, JsonValue],
    *,
    env: Mapping[str, Template] | None = None,
    stdin: Template | None = None,
    cwd: Template | None = None,
) -> Command:
    """Return a command whose values reach it as variables and arguments, never as text of a script.

    Raises:
        InvalidInput: if a value is too long to be passed.
    """
    variables = {name: template.evaluate_text(scope) for name, template in (env or {}).items()}
    if shell is not None:
        script, values = shell.render(scope)
        variables |= values
        line: tuple[str, ...] = ("/bin/sh", "-c", script)
        shown = script
    else:
        line = tuple(template.evaluate_text(scope) for template in argv or ())
        shown = " ".join(line)
    if stdin is not None:
        variables["MOSAIC_STDIN"] = stdin.evaluate_text(scope)
        line = ("/bin/sh", "-c", 'printf %s "$MOSAIC_STDIN" | "$@"', "sh", *line)
    for name, value in variables.items():
        if len(value.encode()) > _MOST_ENVIRONMENT or "\0" in value:
            raise InvalidInput(
                f"The value of {name} cannot be passed to a command: it is longer than {_MOST_ENVIRONMENT} bytes, "
                "or holds a zero byte.",
                hint="Write it to a file of the workspace with the tool files.write, and let the command read that.",
            )
    if variables:
        line = ("/usr/bin/env", *(f"{name}={value}" for name, value in variables.items()), *line)
    directory = cwd.evaluate_text(scope) if cwd is not None else "."
    return Command(line, shown if len(shown) <= 500 else shown[:500] + "...", directory)


async def run_command(
    here: Here, name: str, command: Command, *, timeout_s: float | None, retry: Retry | None = None
) -> JsonObject:
    """Run a command in the workspace; return ``exit_code``, ``stdout``, ``stderr``, ``truncated``.

    Raises:
        TimedOut: if it took too long.
        PolicyDenied: if the policy or a person refused it.
    """
    arguments: JsonObject = {"argv": list(command.argv), "directory": command.directory}
    result = await call_tool(here, name, SHELL_TOOL, arguments, timeout_s=timeout_s, retry=retry)
    content = result.content
    if not isinstance(content, dict) or "exit_code" not in content:
        raise failed(SHELL_TOOL, result)
    if content.get("timed_out"):
        raise TimedOut(f"`{command.shown}` took too long.", command=command.shown, **_output(content, result))
    return _output(content, result)


def _output(content: JsonObject, result: ToolResult) -> JsonObject:
    return {
        "exit_code": content["exit_code"],
        "stdout": content.get("stdout", ""),
        "stderr": content.get("stderr", ""),
        "truncated": result.truncated,
    }


async def run_run(step: RunStep, here: Here) -> JsonValue:
    """Run the command, check its exit code and parse its output."""
    command = command_of(step.shell, step.argv, here.scope, env=step.env, stdin=step.stdin, cwd=step.cwd)
    name = numbered("command", tag(here.number))
    output = await run_command(here, name, command, timeout_s=step.timeout_s, retry=step.retry)
    if output["exit_code"] not in step.ok:
        said = str(output["stderr"] or output["stdout"]).strip()
        tail = f": {said[-500:]}" if said else "."
        raise ToolFailed(f"`{command.shown}` ended with exit code {output['exit_code']}{tail}", **output)
    if step.parse == "lines":
        return {**output, "value": str(output["stdout"]).splitlines()}
    if step.parse == "json":
        return {**output, "value": _json(command, output)}
    return output


def _json(command: Command, output: JsonObject) -> JsonValue:
    if output["truncated"]:
        raise ContractViolation(
            f"`{command.shown}` printed too much to be read as JSON.", command=command.shown
        )
    try:
        value: JsonValue = json.loads(str(output["stdout"]))
    except (ValueError, RecursionError) as error:
        raise ContractViolation(
            f"`{command.shown}` did not print JSON: {error}.",
            command=command.shown,
            stdout=str(output["stdout"])[:500],
        ) from None
    return value
