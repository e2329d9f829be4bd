"""Messages from outside: each proves its sender, starts a workflow or sends a signal, and does so once."""

from fastapi import APIRouter, Depends, Request
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.exceptions import HTTPException

from mosaic.api.access import App
from mosaic.api.schemas import Id
from mosaic.api.webhook_schemas import HookTaken
from mosaic.app.hooks import largest_message, receive
from mosaic.core.values import JsonObject

__all__ = ["router"]

# Looked at with the body; these tell the OpenAPI document. Which one counts, the hook's settings say.
_PROOFS = (
    APIKeyHeader(
        name="webhook-signature",
        scheme_name="StandardWebhooks",
        auto_error=False,
        description="`v1,` and base64 of HMAC-SHA256 over id.timestamp.body: https://www.standardwebhooks.com",
    ),
    APIKeyHeader(
        name="x-hub-signature-256",
        scheme_name="GitHubSignature",
        auto_error=False,
        description="`sha256=` and hex of HMAC-SHA256 over the body",
    ),
    HTTPBearer(scheme_name="HookSecret", auto_error=False, description="The secret of the hook."),
)
router = APIRouter(
    prefix="/api/v1/hooks", tags=["webhooks"], dependencies=[Depends(proof) for proof in _PROOFS]
)

_HEADERS = {
    "webhook-id": "Standard Webhooks: the message's id; each is taken once",
    "webhook-timestamp": "Standard Webhooks: when it was signed, seconds since 1970",
    "x-github-event": "GitHub: what kind of message it is",
    "idempotency-key": "bearer secret: the message's id; without one the content is the id",
}


@router.post(
    "/{name}",
    status_code=202,
    summary="Send a message to a hook",
    response_model=None,
    responses={202: {"model": HookTaken}},
    openapi_extra={
        "parameters": [
            {
                "name": header,
                "in": "header",
                "required": False,
                "description": told,
                "schema": {"type": "string"},
            }
            for header, told in _HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {}}},
        },
    },
)
async def take(name: Id, request: Request, app: App) -> JsonObject:
    """Take a message as the settings of the hook say: Standard Webhooks, GitHub, or a bearer secret.

    401 when it does not prove who sent it; 202 with `duplicate` when it was taken before.
    """
    most, body = largest_message(app, name), b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise HTTPException(413, f"The message is larger than {most} bytes.")
    return await receive(app, name, dict(request.headers), body)
