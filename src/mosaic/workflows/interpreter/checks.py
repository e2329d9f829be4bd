"""The `validate` step: every check runs, and a failure names all that failed."""

import json
from typing import Any

from mosaic.core.errors import (
    ContractViolation,
    ExpressionFailed,
    InvalidInput,
    MosaicError,
    TimedOut,
    ToolFailed,
)
from mosaic.core.values import JsonObject, JsonValue
from mosaic.engine import RetryPolicy
from mosaic.workflows.inputs import schema_problems
from mosaic.workflows.interpreter.calls import call_tool, command_of, run_command
from mosaic.workflows.interpreter.frame import Here, Scope
from mosaic.workflows.interpreter.paths import numbered, tag
from mosaic.workflows.interpreter.retrying import retry_policy
from mosaic.workflows.steps import Check, ValidateStep

__all__ = ["run_validate"]

_READ_TOOL = "files.read"
_TAIL = 4_000


async def run_validate(step: ValidateStep, here: Here) -> JsonValue:
    """Run every check and return what was checked."""
    value = here.previous if step.value is None else step.value.evaluate(here.scope)
    scope = here.scope.new_child({"value": value})

    async def attempt(number: int) -> JsonValue:
        mark = tag(here.number, number)
        results = [
            await _check(check, here, scope, f"check{index}", mark) for index, check in enumerate(step.checks)
        ]
        failed = [result for result in results if not result["passed"]]
        if failed:
            await _keep(here, mark, results)
            what = "; ".join(f"{result['name']}: {result['message']}" for result in failed)
            raise ContractViolation(f"{len(failed)} of {len(results)} checks failed. {what}", checks=results)
        return value

    policy = retry_policy(step.retry) if step.retry is not None else RetryPolicy(attempts=1)
    return await here.effects.retrying(numbered("try", tag(here.number)), attempt, policy)


async def _keep(here: Here, mark: str, results: list[JsonObject]) -> None:
    artifacts = here.run.services.artifacts
    if artifacts is not None:
        report = json.dumps({"step": here.path, "checks": results}, ensure_ascii=False, indent=2)
        name = f"{numbered('checks', mark)}.json"
        await artifacts.keep(here.effects, name, data=report.encode(), media_type="application/json")


async def _check(check: Check, here: Here, scope: Scope, name: str, mark: str) -> JsonObject:
    """Return how one check went; only what keeps the whole step from being judged is raised."""
    shown: JsonObject = {"name": check.name, "kind": check.kind, "passed": True, "message": ""}
    kinds: dict[str, Any] = {"run": _run, "schema": _schema, "expect": _expect}
    problem = await kinds[check.kind](check, here, scope, numbered(name, mark))
    if problem is None:
        return shown
    message, more = problem
    if check.message is not None:
        message = check.message.evaluate_text(scope)
    return {**shown, "passed": False, "message": message, **more}


Problem = tuple[str, JsonObject]


async def _run(check: Check, here: Here, scope: Scope, name: str) -> Problem | None:
    command = command_of(check.shell, check.argv, scope)
    try:
        output = await run_command(here, name, command, timeout_s=check.timeout_s)
    except (TimedOut, ToolFailed) as error:
        return error.message, {"output": str(error.data.get("stdout", ""))[-_TAIL:]}
    if output["exit_code"] == 0:
        return None
    said = "\n".join(str(output[stream]).strip() for stream in ("stdout", "stderr") if output[stream])
    return f"exit code {output['exit_code']}", {"output": said[-_TAIL:]}


async def _schema(check: Check, here: Here, scope: Scope, name: str) -> Problem | None:
    value = scope["value"]
    place = "value"
    if check.file is not None:
        place = check.file.evaluate_text(scope)
        try:
            value = await _file(here, name, place)
        except (InvalidInput, ToolFailed) as error:
            return error.message, {}
    problems = schema_problems(check.schema or {}, value, place)
    return ("; ".join(str(problem) for problem in problems[:10]), {}) if problems else None


async def _file(here: Here, name: str, path: str) -> JsonValue:
    """Return the value that a JSON or YAML file of the workspace holds."""
    from ruamel.yaml import YAML  # noqa: PLC0415  # 40 ms that few runs need
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        result = await call_tool(here, name, _READ_TOOL, {"path": path})
    except MosaicError as error:
        if error.code in ("not_found", "invalid_input"):
            raise ToolFailed(f"{path} cannot be read: {error.message}") from error
        raise
    content: Any = result.content
    text = content.get("text", content.get("content")) if isinstance(content, dict) else content
    if result.is_error or result.truncated or not isinstance(text, str):
        raise ToolFailed(f"{path} cannot be read whole.")
    try:
        value: JsonValue = (
            json.loads(text) if path.endswith(".json") else YAML(typ="safe", pure=True).load(text)
        )
    except (ValueError, YAMLError) as error:
        raise ToolFailed(f"{path} cannot be read: {error}") from None
    return value


async def _expect(check: Check, here: Here, scope: Scope, name: str) -> Problem | None:  # noqa: ARG001  # all alike
    if check.expect is None:
        return None
    try:
        return None if check.expect.evaluate_bool(scope) else (f"`{check.expect.text}` is false", {})
    except ExpressionFailed as error:
        return error.message, {}
