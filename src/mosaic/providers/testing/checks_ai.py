"""Checks of providers of models: answers, streams, errors, time limits, many calls at once."""

import asyncio
from contextlib import aclosing
from typing import Any

from mosaic.core.errors import MosaicError
from mosaic.providers.ai import Delta, Message, ModelRequest, ModelResponse
from mosaic.providers.testing.bench import INSTANCE, Bench, CheckFailed, CheckSkipped
from mosaic.providers.testing.checks import Check, expect, told
from mosaic.providers.testing.endpoint import Reply, Then, json_reply, unused_url

__all__ = ["AI_CHECKS"]

_WAIT_S = 10.0
_SHORT_S = 0.3
_GRACE_S = 5.0
_AT_ONCE = 20
_STATUSES = {
    400: "invalid_input",
    401: "unauthenticated",
    403: "permission_denied",
    404: "not_found",
    500: "unavailable",
    503: "unavailable",
}


def _request(bench: Bench, timeout_s: float = _WAIT_S) -> ModelRequest:
    return ModelRequest(bench.sample.model, (Message.of("user", "Say hello."),), timeout_s=timeout_s)


async def _streamed(provider: Any, request: ModelRequest) -> tuple[list[Delta], ModelResponse | None]:
    deltas, response = [], None
    async with aclosing(provider.stream(request, idempotency_key="k")) as stream:
        async for item in stream:
            expect(response is None, "something came after the whole response")
            if isinstance(item, ModelResponse):
                response = item
            else:
                deltas.append(item)
    return deltas, response


def _right(response: ModelResponse | None, bench: Bench) -> None:
    expect(response is not None, "no response came")
    assert response is not None  # noqa: S101  # for the type checker; said above
    sample = bench.sample
    expect(response.message.text == sample.says, f"it said {response.message.text!r}, not {sample.says!r}")
    expect(response.provider == INSTANCE, f"the response names {response.provider!r}, not the instance")
    used = response.usage.to_json()
    wrong = {name: used[name] for name, count in sample.usage.items() if used[name] != count}
    expect(not wrong, f"the usage {wrong} is not the sample's {dict(sample.usage)}")
    expect(
        ModelResponse.from_json(response.to_json()) == response, "the response does not survive its JSON form"
    )


async def _answers(bench: Bench) -> None:
    provider = bench.provider()
    bench.endpoint.will(bench.sample.reply())
    _right(await provider.complete(_request(bench), idempotency_key="k"), bench)
    await provider.close()


async def _streams(bench: Bench) -> None:
    provider = bench.provider()
    bench.endpoint.will(bench.sample.streamed())
    deltas, response = await _streamed(provider, _request(bench))
    await provider.close()
    _right(response, bench)
    text = "".join(delta.text for delta in deltas if delta.kind == "text")
    expect(text == bench.sample.says, f"the pieces make {text!r}, not the whole answer")


async def _cut_off_stream_is_an_error(bench: Bench) -> None:
    provider = bench.provider()
    cuts: list[tuple[Then, int]] = [("drop", keep) for keep in range(bench.sample.pieces)]
    # A server may also end in order what it did not finish.
    cuts += [("end", keep) for keep in range(min(2, bench.sample.pieces - 1))]
    for then, keep in cuts:
        bench.endpoint.will(bench.sample.streamed(then=then, keep=keep))
        error = await told(_streamed(provider, _request(bench)))
        expect(
            error.code == "unavailable", f"cut after {keep} pieces it raised {error.code}, not unavailable"
        )
    await provider.close()


async def _aborting_ends_the_call(bench: Bench) -> None:
    provider = bench.provider()
    bench.fresh()
    bench.endpoint.will(bench.sample.streamed(then="hang", keep=max(1, bench.sample.pieces - 2)))
    stream = provider.stream(_request(bench), idempotency_key="k")
    async with aclosing(stream):
        async for _ in stream:
            break
    try:
        await asyncio.wait_for(bench.endpoint.gone.wait(), _WAIT_S)
    except TimeoutError:
        raise CheckFailed("the connection stayed open after the stream was closed") from None
    finally:
        await provider.close()


async def _errors_are_mapped(bench: Bench) -> None:
    provider = bench.provider()
    declared = {int(word): code for word, code in bench.manifest.errors.items() if word.isdigit()}
    for status, code in {**_STATUSES, **declared}.items():
        bench.endpoint.will(bench.sample.refusal(status))
        await _refused_with(code, f"status {status}", provider, bench)
    for word, code in bench.manifest.errors.items():
        if not word.isdigit():
            bench.endpoint.will(bench.sample.refusal(400, kind=word))
            await _refused_with(code, f"{word!r}", provider, bench)
    await provider.close()


async def _refused_with(code: str, what: str, provider: Any, bench: Bench) -> None:
    error = await told(provider.complete(_request(bench), idempotency_key="k"))
    expect(error.code == code, f"{what} became {error.code}, not {code}")
    expect(error.data.get("provider") == INSTANCE, f"the error of {what} does not name the instance")
    expect(
        not any(secret in str(error.to_json()) for secret in bench.secrets),
        f"the error of {what} shows a key",
    )


async def _rate_limit_keeps_the_wait(bench: Bench) -> None:
    provider = bench.provider()
    bench.endpoint.will(bench.sample.refusal(429, kind="rate_limit_error", headers={"retry-after": "7"}))
    error = await told(provider.complete(_request(bench), idempotency_key="k"))
    await provider.close()
    expect(error.code == "limit_exceeded", f"429 became {error.code}, not limit_exceeded")
    waits = error.data.get("retry_after_s")
    expect(waits == 7, f"retry-after: 7 became retry_after_s={waits!r}")


async def _nonsense_is_a_contract_violation(bench: Bench) -> None:
    provider = bench.provider()
    pages = (Reply((b"<html>hello</html>",)), json_reply({"surprise": True}), json_reply([1, 2]))
    for page in pages:
        bench.endpoint.will(page)
        error = await told(provider.complete(_request(bench), idempotency_key="k"))
        expect(error.code == "contract_violation", f"nonsense became {error.code}, not contract_violation")
    bench.endpoint.will(Reply(status=302, headers={"location": f"{bench.endpoint.url}/elsewhere"}))
    bench.fresh()
    error = await told(provider.complete(_request(bench), idempotency_key="k"))
    await provider.close()
    expect(len(bench.endpoint.requests) == 1, "it followed a redirect, and took the key along")


async def _times_are_kept(bench: Bench) -> None:
    provider = bench.provider()
    bench.endpoint.will(Reply(then="hang"))
    async with asyncio.timeout(_GRACE_S):
        error = await told(provider.complete(_request(bench, _SHORT_S), idempotency_key="k"))
    expect(error.code == "timed_out", f"silence became {error.code}, not timed_out")
    expect(error.data.get("sent") is True, "the timeout does not say that the request was sent")
    async with asyncio.timeout(_GRACE_S):
        error = await told(_streamed(provider, _request(bench, _SHORT_S)))
    expect(error.code == "timed_out", f"a silent stream became {error.code}, not timed_out")
    await provider.close()


async def _nobody_there_is_unavailable(bench: Bench) -> None:
    config = bench.config()
    fields = [
        name for name, value in config.items() if isinstance(value, str) and bench.endpoint.url in value
    ]
    if not fields:
        raise CheckSkipped("no configuration field holds the address")
    elsewhere = await unused_url()
    moved = {name: config[name].replace(bench.endpoint.url, elsewhere) for name in fields}
    provider = bench.provider(**moved)
    error = await told(provider.complete(_request(bench), idempotency_key="k"))
    await provider.close()
    expect(error.code == "unavailable", f"a closed port became {error.code}, not unavailable")
    expect(error.data.get("sent") is False, "the error does not say that nothing was sent")


async def _many_at_once(bench: Bench) -> None:
    provider = bench.provider()
    bench.endpoint.will(bench.sample.reply())
    request = _request(bench)
    calls = (provider.complete(request, idempotency_key=f"k{number}") for number in range(_AT_ONCE))
    for response in await asyncio.gather(*calls):
        _right(response, bench)
    await provider.close()


async def _models_are_listed(bench: Bench) -> None:
    if bench.sample.models is None:
        raise CheckSkipped("the sample does not say how models are listed")
    provider = bench.provider()
    bench.endpoint.will(json_reply(bench.sample.models.get("body")))
    try:
        found = await provider.models()
    except MosaicError as error:
        raise CheckFailed(f"listing raised {error.code}: {error.message}") from error
    finally:
        await provider.close()
    expect(found, "no model was listed")
    expect(all(info.provider == INSTANCE for info in found), "a listed model does not name the instance")


AI_CHECKS: dict[str, Check] = {
    "a call answers with text, usage and the instance's name": _answers,
    "a stream's pieces make the whole answer": _streams,
    "a stream that is cut off is an error, wherever it is cut": _cut_off_stream_is_an_error,
    "closing a stream ends the call at the vendor": _aborting_ends_the_call,
    "errors are mapped to the common tree, without keys": _errors_are_mapped,
    "a rate limit keeps the vendor's waiting time": _rate_limit_keeps_the_wait,
    "nonsense is a contract violation, and no redirect is followed": _nonsense_is_a_contract_violation,
    "time limits are kept, and say whether it was sent": _times_are_kept,
    "an address where nobody listens is unavailable": _nobody_there_is_unavailable,
    "many calls at once are answered": _many_at_once,
    "models are listed": _models_are_listed,
}
"""Sentence -> check, for the kind `ai`."""
