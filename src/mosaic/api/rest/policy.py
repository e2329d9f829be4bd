"""The policy for tool calls: what holds, why, what is wrong with it, what was answered, what held before."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from mosaic.api.access import App, Caller
from mosaic.api.conditions import versions_of
from mosaic.api.listing import Cursor, WholeLimit, paged
from mosaic.api.policy_schemas import (
    CheckedPolicy,
    CheckPolicy,
    ExplainCall,
    ExplainedCall,
    PolicyDocument,
    PolicyRulesPage,
    PolicyVersionFiles,
    PolicyVersionPage,
    StandingRuleDocument,
    TestedPolicy,
    TestPolicy,
)
from mosaic.api.routing import Route
from mosaic.api.schemas import Id, IfMatch
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(route_class=Route, tags=["policy"])
_Version = Annotated[str, Path(max_length=80, pattern="^(sha256:)?[0-9a-f]{4,64}$")]


@router.get(
    "/policy", summary="Show the policy", response_model=None, responses={200: {"model": PolicyDocument}}
)
async def show(app: App, ctx: Caller) -> JsonObject:
    """Return the policy in force: its version, rules, permissions and limits."""
    return await app.policy_operations.policy(ctx)


@router.post(
    "/policy/explain",
    summary="Explain a tool call",
    response_model=None,
    responses={200: {"model": ExplainedCall}},
)
async def explain(body: ExplainCall, app: App, ctx: Caller) -> JsonObject:
    """Return what would become of a call, which rules looked and what would have to change; nothing is called."""
    return await app.policy_operations.explain_policy(ctx, body.model_dump(mode="json", exclude_none=True))


@router.post(
    "/policy/check",
    summary="Check the files of a policy",
    response_model=None,
    responses={200: {"model": CheckedPolicy}},
)
async def check(body: CheckPolicy, app: App, ctx: Caller) -> JsonObject:
    """Return every problem of the given files with line and column; nothing is changed."""
    return await app.policy_operations.check_policy(ctx, body.model_dump(mode="json"))


@router.post(
    "/policy/test", summary="Test a policy", response_model=None, responses={200: {"model": TestedPolicy}}
)
async def test(body: TestPolicy, app: App, ctx: Caller) -> JsonObject:
    """Judge the calls of the cases, and return which are not as expected; nothing is called."""
    return await app.policy_operations.test_policy(ctx, body.model_dump(mode="json", exclude_none=True))


@router.get(
    "/policy/rules", summary="List rules", response_model=None, responses={200: {"model": PolicyRulesPage}}
)
async def rules(
    app: App,
    ctx: Caller,
    project: Annotated[str | None, Query(max_length=64)] = None,
    run_id: Annotated[str | None, Query(max_length=64)] = None,
    revoked: Annotated[bool, Query(description="also those that hold no longer")] = False,
    limit: WholeLimit = 1_000,
    cursor: Cursor = None,
) -> JsonObject:
    """Return the rules of the file, and a page of the standing rules that answers have made."""
    shown = await app.policy_operations.policy_rules(ctx, project=project, run_id=run_id, revoked=revoked)
    return paged(shown, "-created_at", limit=limit, cursor=cursor, rows="standing")


@router.post(
    "/policy/rules/{rule_id}/revoke",
    summary="Revoke a standing rule",
    response_model=None,
    responses={200: {"model": StandingRuleDocument}},
)
async def revoke(
    rule_id: Id, response: Response, app: App, ctx: Caller, if_match: IfMatch = None
) -> JsonObject:
    """Make a standing rule hold no longer, on every node, at once."""
    rule = await app.standing_rules.revoke(ctx, rule_id, only=versions_of(if_match))
    response.headers["ETag"] = f'"{rule.version}"'
    return rule.to_json()


@router.get(
    "/policy/rules/{rule_id}",
    summary="Show a standing rule",
    response_model=None,
    responses={200: {"model": StandingRuleDocument}},
)
async def rule(rule_id: Id, response: Response, app: App, ctx: Caller) -> JsonObject:
    """Return one standing rule."""
    found = await app.standing_rules.get(ctx, rule_id)
    response.headers["ETag"] = f'"{found.version}"'
    return found.to_json()


@router.get(
    "/policy/versions",
    summary="List versions of the policy",
    response_model=None,
    responses={200: {"model": PolicyVersionPage}},
)
async def versions(app: App, ctx: Caller, limit: WholeLimit = 1_000, cursor: Cursor = None) -> JsonObject:
    """Return a page of the versions that were in force, newest first."""
    shown = await app.policy_operations.policy_versions(ctx)
    return paged(shown, "-first_used_at", limit=limit, cursor=cursor, identity=("version",))


@router.get(
    "/policy/versions/{version}",
    summary="Show a version of the policy",
    response_model=None,
    responses={200: {"model": PolicyVersionFiles}},
)
async def version(version: _Version, app: App, ctx: Caller) -> JsonObject:
    """Return a version with its files; the beginning of its hash will do."""
    return await app.policy_operations.policy_version(ctx, version)
