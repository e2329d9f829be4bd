"""Sessions of browsers: sign in with a code or the owner's token, look, sign out."""

import time
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, model_validator

from mosaic.api.access import App, Caller
from mosaic.api.schemas import Body, Document
from mosaic.app.sessions import SESSION_S, Sessions
from mosaic.core.errors import Unauthenticated
from mosaic.core.values import JsonObject

__all__ = ["router"]

router = APIRouter(prefix="/session", tags=["session"])
# Who is signed in, and signing in, need no token: that is how one gets in.
_OPEN: dict[str, Any] = {"security": [{}]}
_VISIBLE = r"^[!-~]+$"


class SignIn(Body):
    """One of both."""

    code: str | None = Field(
        None, pattern=_VISIBLE, max_length=200, description="from `mosaic up`; good once"
    )
    token: str | None = Field(None, pattern=_VISIBLE, max_length=1000, description="the owner's token")

    @model_validator(mode="after")
    def _one(self) -> "SignIn":
        if (self.code is None) == (self.token is None):
            raise ValueError("either code or token")
        return self


class SessionDocument(Document):
    """Who is signed in; all but `signed_in` is null when nobody is."""

    signed_in: bool
    tenant: str | None
    project: str | None
    actor: str | None
    expires_at: datetime | None = Field(description="null for a caller with a token")


class CodeDocument(Document):
    """A code that opens one session."""

    code: str


_SHOWN: dict[int | str, dict[str, Any]] = {200: {"model": SessionDocument}}


def _sessions(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


Held = Annotated[Sessions, Depends(_sessions)]


@router.get("", summary="Show who is signed in", response_model=None, responses=_SHOWN, openapi_extra=_OPEN)
async def show(request: Request, ctx: Caller, sessions: Held) -> JsonObject:
    """Answer without a session, too: that is how a page learns that it needs one."""
    if not request.state.signed_in:
        return {"signed_in": False, "tenant": None, "project": None, "actor": None, "expires_at": None}
    ends = sessions.expires_at(request.cookies.get(sessions.cookie, ""))
    return {
        "signed_in": True,
        "tenant": ctx.tenant,
        "project": ctx.project,
        "actor": str(ctx.actor),
        "expires_at": datetime.fromtimestamp(ends, UTC).isoformat() if ends is not None else None,
    }


@router.post("", summary="Sign in", response_model=None, responses=_SHOWN, openapi_extra=_OPEN)
async def sign_in(
    body: SignIn, request: Request, response: Response, ctx: Caller, sessions: Held
) -> JsonObject:
    """Exchange a code or the owner's token for a session, which comes as a cookie that scripts cannot read."""
    session = sessions.redeem(body.code) if body.code is not None else sessions.open(body.token or "")
    if session is None:
        raise Unauthenticated(
            "That code is not good any more." if body.code is not None else "That is not the owner's token.",
            hint="Paste the content of `.mosaic/owner-token` on the server.",
        )
    response.set_cookie(
        sessions.cookie,
        session,
        max_age=SESSION_S,
        path="/api/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return {
        "signed_in": True,
        "tenant": ctx.tenant,
        "project": ctx.project,
        "actor": str(ctx.actor),
        "expires_at": datetime.fromtimestamp(int(time.time()) + SESSION_S, UTC).isoformat(),
    }


@router.delete("", status_code=204, summary="Sign out", response_model=None)
async def sign_out(request: Request, response: Response, sessions: Held) -> None:
    """End the session."""
    sessions.end(request.cookies.get(sessions.cookie, ""))
    response.delete_cookie(sessions.cookie, path="/api/", httponly=True, samesite="strict")


@router.post(
    "/codes",
    status_code=201,
    summary="Make a code",
    response_model=None,
    responses={201: {"model": CodeDocument}},
)
async def make_code(_: App, sessions: Held) -> JsonObject:
    """Make a code with which one browser can sign in, once, within half an hour."""
    return {"code": sessions.new_code()}
