"""Errors as each vendor's client expects them: its own exception, its own patience."""

import json

import anthropic
import openai
import pytest

from mosaic.core.errors import (
    BudgetExceeded,
    Cancelled,
    Conflict,
    ContractViolation,
    InvalidInput,
    LimitExceeded,
    ModelRefused,
    MosaicError,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    Problem,
    StorageFull,
    TimedOut,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from mosaic.gateway.wires import anthropic_error, openai_error
from tests.gateway.wires import judges
from tests.providers.endpoint import Reply

pytestmark = pytest.mark.anyio

# What happened; OpenAI's status, type and code; Anthropic's status and type; whether a client may ask again.
CASES = [
    (InvalidInput("Bad.", problems=[Problem("Bad.", path="messages[0].role")]), 400, "invalid_request_error",
     "invalid_input", 400, "invalid_request_error", False),
    (Unsupported("No."), 400, "invalid_request_error", "unsupported", 400, "invalid_request_error", False),
    (Unauthenticated("Who?"), 401, "invalid_request_error", "invalid_api_key", 401, "authentication_error", False),
    (BudgetExceeded("No money in 'team'."), 402, "insufficient_quota", "budget_exceeded", 402, "billing_error", False),
    (PermissionDenied("No."), 403, "permission_error", "permission_denied", 403, "permission_error", False),
    (NotFound("No model."), 404, "invalid_request_error", "model_not_found", 404, "not_found_error", False),
    (Conflict("Not now."), 409, "conflict_error", "conflict", 409, "invalid_request_error", False),
    (LimitExceeded("Slow down.", retry_after_s=1.5), 429, "rate_limit_error", "rate_limit_exceeded", 429,
     "rate_limit_error", True),
    (MosaicError("Oh."), 500, "server_error", "internal_error", 500, "api_error", False),
    (ContractViolation("Odd."), 502, "server_error", "contract_violation", 502, "api_error", False),
    (OutcomeUnknown("Perhaps."), 502, "server_error", "outcome_unknown", 502, "api_error", False),
    (Unavailable("Gone."), 503, "server_error", "unavailable", 529, "overloaded_error", True),
    (StorageFull("Full."), 503, "server_error", "storage_full", 529, "overloaded_error", False),
    (TimedOut("Late."), 504, "server_error", "timed_out", 504, "timeout_error", True),
    (ModelRefused("Declined."), 400, "invalid_request_error", "content_filter", 400, "invalid_request_error", False),
    (Cancelled("Stop."), 499, "server_error", "cancelled", 499, "api_error", False),
]  # fmt: skip
each_case = pytest.mark.parametrize(
    ("error", "status", "kind", "code", "their_status", "their_kind", "again"),
    CASES,
    ids=[type(case[0]).__name__ for case in CASES],
)


def clients_would_ask_again(reply):
    """What the clients of both vendors do with a status, unless they are told."""
    told = dict(reply.headers).get(b"x-should-retry")
    return reply.status in (408, 409, 429) or reply.status >= 500 if told is None else told == b"true"


@each_case
def test_an_error_has_openais_form(error, status, kind, code, their_status, their_kind, again):
    reply = openai_error(error)
    body = json.loads(reply.body)
    judges.check(judges.OPENAI, "ErrorResponse", body)
    assert (reply.status, body["error"]["type"], body["error"]["code"]) == (status, kind, code)
    assert body["error"]["message"].startswith(error.message)
    assert clients_would_ask_again(reply) is again


@each_case
def test_an_error_has_anthropics_form(error, status, kind, code, their_status, their_kind, again):
    reply = anthropic_error(error)
    body = json.loads(reply.body)
    judges.check(judges.ANTHROPIC, "__Error", body)
    assert (reply.status, body["error"]["type"]) == (their_status, their_kind)
    assert clients_would_ask_again(reply) is again


def test_an_error_names_the_place_the_next_step_and_its_code():
    error = InvalidInput("n: Bad.", problems=[Problem("Bad.", path="n")], hint="Leave it out.")
    reply = openai_error(error)
    assert json.loads(reply.body)["error"] == {
        "message": "n: Bad. Leave it out.",
        "type": "invalid_request_error",
        "param": "n",
        "code": "invalid_input",
    }
    assert (b"x-mosaic-error", b"invalid_input") in reply.headers
    assert (b"www-authenticate", b"Bearer") in openai_error(Unauthenticated("Who?")).headers


@pytest.mark.parametrize(
    ("given", "seconds", "milliseconds"),
    [(1.5, b"2", b"1500"), (0, b"0", b"0"), (-3, b"0", b"0"), (1e12, b"86400", b"86400000"), (float("nan"), None, None),
     (float("inf"), None, None), ("soon", None, None), (True, None, None), (None, None, None)],
)  # fmt: skip
def test_a_client_is_told_when_to_come_back(given, seconds, milliseconds):
    for write in (openai_error, anthropic_error):
        headers = dict(write(LimitExceeded("Slow.", retry_after_s=given)).headers)
        assert (headers.get(b"retry-after"), headers.get(b"retry-after-ms")) == (seconds, milliseconds)


def as_reply(reply):
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Reply((reply.body,), reply.status, headers)


async def test_openais_client_raises_its_own_error_and_asks_once(endpoint):
    for error, kind in [
        (BudgetExceeded("No money in 'team'."), openai.APIStatusError),
        (OutcomeUnknown("Perhaps."), openai.InternalServerError),
        (InvalidInput("Bad."), openai.BadRequestError),
        (NotFound("No model."), openai.NotFoundError),
        (Unauthenticated("Who?"), openai.AuthenticationError),
    ]:
        endpoint.will(as_reply(openai_error(error)))
        endpoint.requests.clear()
        async with openai.AsyncOpenAI(base_url=f"{endpoint.url}/v1", api_key="mk-x", max_retries=2) as client:
            with pytest.raises(kind, match=error.message):
                await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
        assert len(endpoint.requests) == 1


async def test_anthropics_client_raises_its_own_error_and_asks_once(endpoint):
    for error, kind in [
        (BudgetExceeded("No money in 'team'."), anthropic.APIStatusError),
        (OutcomeUnknown("Perhaps."), anthropic.InternalServerError),
        (PermissionDenied("No."), anthropic.PermissionDeniedError),
    ]:
        endpoint.will(as_reply(anthropic_error(error)))
        endpoint.requests.clear()
        async with anthropic.AsyncAnthropic(base_url=endpoint.url, api_key="mk-x", max_retries=2) as client:
            with pytest.raises(kind, match=error.message):
                await client.messages.create(
                    model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]
                )
        assert len(endpoint.requests) == 1


async def test_a_client_asks_again_when_it_may(endpoint):
    good = Reply((b'{"object":"list","data":[]}',), headers={"content-type": "application/json"})
    endpoint.will(as_reply(openai_error(Unavailable("Gone.", retry_after_s=0.001))), good)
    async with openai.AsyncOpenAI(base_url=f"{endpoint.url}/v1", api_key="mk-x", max_retries=1) as client:
        await client.models.list()
    assert len(endpoint.requests) == 2
