"""Checks that every plugin must pass: loading, configuration, secrets, permissions, closing."""

import time
from collections.abc import Awaitable, Callable

from mosaic.core.errors import InvalidInput, MosaicError
from mosaic.providers.capabilities import capabilities_of_plugin, dishonest
from mosaic.providers.manifest_check import manifest_problems
from mosaic.providers.testing.bench import INSTANCE, Bench, CheckFailed, CheckSkipped

__all__ = ["COMMON_CHECKS", "Check", "expect", "told"]

Check = Callable[[Bench], Awaitable[None]]

LOAD_LIMIT_S = 0.1


def expect(condition: object, otherwise: str) -> None:
    """Fail the check unless the condition holds.

    Raises:
        CheckFailed: with `otherwise` as its message.
    """
    if not condition:
        raise CheckFailed(otherwise)


async def told(call: Awaitable[object]) -> MosaicError:
    """Return the error of the tree that a call ends with.

    Raises:
        CheckFailed: if it ends well, or with an error of another kind.
    """
    try:
        answer = await call
    except MosaicError as error:
        return error
    except Exception as error:
        raise CheckFailed(f"it raised {type(error).__name__} ({error}), which is no MosaicError") from error
    raise CheckFailed(f"it raised nothing and answered {str(answer)[:80]!r}")


async def _manifest_is_whole(bench: Bench) -> None:
    problems = manifest_problems(bench.manifest.to_json())
    expect(not problems, "; ".join(map(str, problems)))


async def _making_is_quick_and_silent(bench: Bench) -> None:
    bench.fresh()
    bench.provider()  # what Python and the shared parts load once is not the plugin's
    started = time.perf_counter()
    provider = bench.provider()
    took_s = time.perf_counter() - started
    await provider.close()
    expect(took_s < LOAD_LIMIT_S, f"making a provider took {took_s * 1000:.0f} ms, the limit is 100 ms")
    expect(not bench.endpoint.requests, "making a provider sent a request; `create` must do no I/O")


async def _name_is_the_instances(bench: Bench) -> None:
    provider = bench.provider()
    expect(provider.name == INSTANCE, f"its name is {provider.name!r} after it was set to {INSTANCE!r}")
    await provider.close()


async def _unknown_field_is_refused(bench: Bench) -> None:
    try:
        bench.provider(no_such_field_of_any_plugin="x")
    except InvalidInput:
        return
    raise CheckFailed(
        "a configuration field that does not exist was accepted; set additionalProperties: false"
    )


async def _secrets_do_not_show(bench: Bench) -> None:
    if not bench.secrets:
        raise CheckSkipped("the sample's configuration holds no secret")
    provider = bench.provider()
    shown = [repr(provider), str(provider), str(await provider.check())]
    await provider.close()
    for secret in bench.secrets:
        expect(not any(secret in text for text in shown), "a secret is in its repr or its health")


async def _declared_capabilities_are_true(bench: Bench) -> None:
    provider = bench.provider()
    wrong = dishonest(bench.manifest, provider)
    await provider.close()
    expect(not wrong, "; ".join(wrong))
    for operation, support in capabilities_of_plugin(bench.manifest, provider).items():
        expect(
            support.level == "supported" or support.reason,
            f"{operation!r} is {support.level} without a reason",
        )


async def _check_never_raises(bench: Bench) -> None:
    provider = bench.provider()
    bench.fresh()
    bench.endpoint.will(bench.sample.refusal(401, kind="authentication_error"))
    refused = await provider.check(thorough=True)
    bench.endpoint.will(bench.sample.refusal(503, kind="overloaded_error"))
    broken = await provider.check(thorough=True)
    await provider.close()
    expect(not broken.usable, "a thorough check called a provider ready that answers 503")
    expect(refused.provider == INSTANCE, f"its health speaks of {refused.provider!r}, not of the instance")
    if bench.manifest.secrets:
        expect(
            refused.status == "refused", f"a refused key gives the status {refused.status!r}, not 'refused'"
        )


async def _closing_twice_is_right(bench: Bench) -> None:
    provider = bench.provider()
    await provider.close()
    await provider.close()


COMMON_CHECKS: dict[str, Check] = {
    "the manifest fits its schema": _manifest_is_whole,
    "a provider is made in under 100 ms, without a request": _making_is_quick_and_silent,
    "a provider takes the name of its instance": _name_is_the_instances,
    "an unknown configuration field is refused": _unknown_field_is_refused,
    "secrets do not show": _secrets_do_not_show,
    "declared capabilities are there": _declared_capabilities_are_true,
    "a health check answers and never raises": _check_never_raises,
    "closing twice is right": _closing_twice_is_right,
}
"""Sentence -> check; every plugin must pass all of them."""
