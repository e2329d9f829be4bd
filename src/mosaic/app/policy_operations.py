"""What every door can ask about the policy for tool calls, as plain JSON: what holds, why, since when; what was answered."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from mosaic.core.context import Context
from mosaic.core.errors import InvalidInput, Problem
from mosaic.core.values import JsonObject
from mosaic.tools import Policy, Toolbox
from mosaic.tools.policies import (
    PERMISSIONS_NAME,
    POLICY_NAMES,
    LoadedPolicy,
    PolicyJudge,
    PolicyVersions,
    StandingRules,
    policy_of,
)
from mosaic.tools.policies.cases import case_of, load_cases, run_case
from mosaic.tools.policies.explaining import explain, explain_offline
from mosaic.tools.policies.rules import Facts
from mosaic.tools.validation import problems_of

__all__ = ["PolicyOperations", "checked_policy", "notes_on", "tested_policy"]

_FILES = frozenset({*POLICY_NAMES, PERMISSIONS_NAME})
_MOST_PROBLEMS = 20


class PolicyOperations:
    """The policy of one installation. Every result is JSON, every call is scoped by its context.

    Args:
        judge: judges the calls.
        standing: answers that last.
        versions: what was in force.
        base: the layers of the installation: its defaults and settings.
        tools: the tools that every run has.
        outside: those and the ones of registered servers, which may have to be asked.
    """

    def __init__(
        self,
        judge: PolicyJudge,
        standing: StandingRules,
        versions: PolicyVersions,
        *,
        base: Callable[[Context], Policy],
        tools: Callable[[], Toolbox],
        outside: Callable[[Context], Awaitable[Toolbox]],
    ) -> None:
        self._judge = judge
        self._standing = standing
        self._versions = versions
        self._base = base
        self._tools = tools
        self._outside = outside

    async def policy(self, _ctx: Context) -> JsonObject:
        """Return the policy in force: its version, rules, permissions and limits.

        Raises:
            InvalidInput: if its files are wrong and nothing has been in force yet.
        """
        return _shown(await asyncio.to_thread(lambda: self._judge.policy))

    async def explain_policy(self, ctx: Context, wanted: JsonObject) -> JsonObject:
        """Return what would become of a call, which rules looked, which decided, and what would have to change.

        Args:
            ctx: the tenant; `wanted` may name another project and actor, not another tenant.
            wanted: a call as in a policy's tests: `tool`, and perhaps `arguments`, `agent`, `workflow` and so on. With
                `files` (name -> content) it is explained by those instead of what is in force, and without standing
                answers.

        Raises:
            InvalidInput: naming each field that is wrong.
        """
        given = {name: value for name, value in wanted.items() if name not in ("files", "tenant")}
        tools = await self._knowing(ctx, str(given["tool"]))
        call, cost_usd, layers = case_of(given, layers=self._base(ctx), tools=tools, ctx=ctx)
        if wanted.get("files"):
            policy = await asyncio.to_thread(_given_policy, wanted["files"])
            held = [str(role) for role in given.get("roles") or ()]
            facts = Facts(call, cost_usd=cost_usd)
            found = explain_offline(policy, layers, facts, self._judge.moment, held=held)
        else:
            found = await explain(self._judge, layers, call)
        return {**found.to_json(), "notes": notes_on(given, tools)}

    async def _knowing(self, ctx: Context, tool: str) -> Toolbox:
        """Return tools among which one is, if there is such a one; servers are asked only for what nobody else has."""
        own = self._tools()
        if tool in own.names:
            return own
        more = await self._outside(ctx)
        return Toolbox([*(own.get(name) for name in own.names), *(more.get(name) for name in more.names)])

    async def check_policy(self, _ctx: Context, wanted: JsonObject) -> JsonObject:
        """Return every problem of the given `files` (name -> content), each at its line and column."""
        return await asyncio.to_thread(checked_policy, wanted.get("files") or {})

    async def test_policy(self, ctx: Context, wanted: JsonObject) -> JsonObject:
        """Judge the calls of `cases` (YAML) by the policy in force, or by the given `files`, and compare.

        Raises:
            InvalidInput: naming every problem of cases and files.
        """
        files = wanted.get("files")
        policy = self._judge.policy if files is None else await asyncio.to_thread(_given_policy, files)
        return tested_policy(
            policy,
            str(wanted.get("cases") or ""),
            "policy-tests.yaml",
            base=self._base(ctx),
            tools=self._tools(),
            ctx=ctx,
            judge=self._judge,
        )

    async def policy_rules(
        self, ctx: Context, *, project: str | None = None, run_id: str | None = None, revoked: bool = False
    ) -> JsonObject:
        """Return the rules of the file, and the standing rules, the newest first."""
        found = await self._standing.list(ctx, project=project, run_id=run_id, revoked=revoked)
        policy = await asyncio.to_thread(lambda: self._judge.policy)
        return {
            "version": policy.version,
            "items": [rule.to_json() for rule in policy.book.rules],
            "standing": [rule.to_json() for rule in found],
        }

    async def revoke_policy_rule(self, ctx: Context, rule_id: str) -> JsonObject:
        """Make a standing rule hold no longer.

        Raises:
            NotFound: if the tenant has none with that id.
        """
        return (await self._standing.revoke(ctx, rule_id)).to_json()

    async def policy_versions(self, _ctx: Context) -> JsonObject:
        """Return the versions that were in force, the newest first, and which one is."""
        policy = await asyncio.to_thread(lambda: self._judge.policy)
        await self._versions.keep(policy)
        items = [version.to_json() for version in await self._versions.list()]
        return {"current": policy.version, "items": items}

    async def policy_version(self, _ctx: Context, version: str) -> JsonObject:
        """Return a version with its files; the beginning of its hash will do.

        Raises:
            NotFound: if there is none.
        """
        found, files = await self._versions.files(version)
        return {**found.to_json(), "content": files}


def checked_policy(files: JsonObject) -> JsonObject:
    """Return every problem of a policy's files (name -> content), and notes on rules that do nothing."""
    try:
        policy = _given_policy(files)
    except InvalidInput as error:
        problems = [asdict(problem) for problem in error.problems]
        return {"valid": False, "problems": problems, "notes": [], "rules": 0, "permissions": 0}
    notes = [
        f"{rule.place or rule.name}: {rule.name} allows, but names no tool in full: it lifts no question."
        for rule in policy.book.rules
        if rule.effect.value == "allow"
        and not any(rule.names_tool(tool) for tool in rule.match.names.get("tool", ()))
    ]
    permissions = len(policy.permissions) if policy.permissions is not None else 0
    return {
        "valid": True,
        "problems": [],
        "notes": notes,
        "rules": len(policy.book.rules),
        "permissions": permissions,
    }


def tested_policy(
    policy: LoadedPolicy,
    cases: str,
    file: str,
    *,
    base: Policy,
    tools: Toolbox,
    ctx: Context,
    judge: PolicyJudge,
) -> JsonObject:
    """Return what became of each case of a YAML text, and how many are not as expected.

    Raises:
        InvalidInput: naming every problem of the cases.
    """
    results = [
        run_case(case, policy, layers=base, tools=tools, ctx=ctx, moment=judge.moment)
        for case in load_cases(cases, file)
    ]
    failed = sum(not result.passed for result in results)
    return {
        "version": policy.version,
        "passed": len(results) - failed,
        "failed": failed,
        "items": [result.to_json() for result in results],
    }


def notes_on(given: JsonObject, tools: Toolbox) -> list[str]:
    """Return what an explanation should add about a call: a tool that nobody knows, arguments that do not fit."""
    name = str(given["tool"])
    if name not in tools.names:
        near = tools.nearest(name)
        tip = f"; did you mean {' or '.join(near)}?" if near else ""
        return [f"No tool {name!r} is known here, so it counts as destructive{tip}"]
    problems = problems_of(given.get("arguments") or {}, tools.get(name).spec.input_schema)[:_MOST_PROBLEMS]
    said = "; ".join(str(problem) for problem in problems)
    return (
        [f"The arguments do not fit the tool, so the call would fail before the policy: {said}"]
        if said
        else []
    )


def _given_policy(files: Any) -> LoadedPolicy:
    wrong = [name for name in files if name not in _FILES]
    if wrong:
        known = ", ".join(sorted(_FILES))
        problems = [Problem("not a file of a policy", path=f"files.{name[:80]}") for name in wrong]
        raise InvalidInput("These are no files of a policy.", hint=f"One of: {known}.", problems=problems)
    return policy_of({name: str(text) for name, text in files.items()})


def _shown(policy: LoadedPolicy) -> JsonObject:
    return {
        "version": policy.version,
        "files": list(policy.texts),
        "rules": [rule.to_json() for rule in policy.book.rules],
        "permissions": policy.permissions.to_json() if policy.permissions is not None else None,
        "limits": [limit.to_json() for limit in policy.book.limits],
    }
