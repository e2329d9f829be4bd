"""Answers to approvals that come in signed, as chat-ops tools send them; the signature stands for a token."""

from fastapi import APIRouter, Depends, Request
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException

from mosaic.api.access import App
from mosaic.api.schemas import Id, SignedAnswerTaken
from mosaic.app.webhooks import SignedAnswer
from mosaic.core.values import JsonObject

__all__ = ["router"]

_MOST_BYTES = 65_536

_signature = APIKeyHeader(
    name="webhook-signature",
    scheme_name="StandardWebhooks",
    auto_error=False,  # looked at with the body; this tells the OpenAPI document
    description="`v1,` and base64 of HMAC-SHA256 over id.timestamp.body: https://www.standardwebhooks.com",
)
router = APIRouter(prefix="/api/v1/approvals", tags=["approvals"], dependencies=[Depends(_signature)])


@router.post(
    "/{approval_id}/webhook",
    summary="Answer with a signed message",
    response_model=None,
    responses={200: {"model": SignedAnswerTaken}},
    openapi_extra={
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": told,
                "schema": {"type": "string"},
            }
            for name, told in (
                ("webhook-id", "the message's id; each is taken once"),
                ("webhook-timestamp", "when it was signed, seconds since 1970"),
            )
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": SignedAnswer.model_json_schema()}},
        },
    },
)
async def answer(approval_id: Id, request: Request, app: App) -> JsonObject:
    """Answer as `webhook:<name>`, signed as Standard Webhooks says with the secret of a webhook in the settings.

    401 when the signature does not fit or is too old, 409 when the message was taken before.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise HTTPException(413, f"The message is larger than {_MOST_BYTES} bytes.")
    return await app.webhooks.answer(approval_id, dict(request.headers), body)
