"""A message proves who sent it, or it is refused with words that tell a stranger nothing."""

import base64
import hashlib
import hmac

import pytest

from mosaic.core.clock import now
from mosaic.core.errors import InvalidInput, Unauthenticated
from mosaic.outbound import key_of, sign
from mosaic.webhooks import Proof, matcher, pattern_problems, proven

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
PLAIN = "a-secret-of-some-length"
BODY = b'{"type": "order.placed"}'


def check(proof: Proof, secret: str, headers: dict[str, str], body: bytes = BODY) -> tuple[str, str]:
    return proven(proof, secret, headers, body, moment=now(), tolerance_s=300, name="The variable HOOK")


def test_each_way_of_proving_names_the_message_and_its_type() -> None:
    standard = sign(key_of(SECRET, name="it"), message_id="msg_1", moment=now(), body=BODY)
    assert check("standard", SECRET, standard) == ("msg_1", "order.placed")
    mark = "sha256=" + hmac.new(PLAIN.encode(), BODY, hashlib.sha256).hexdigest()
    content = f"body:{hashlib.sha256(BODY).hexdigest()}"
    assert check("github", PLAIN, {"x-hub-signature-256": mark, "x-github-event": "push"}) == (
        content,
        "push",
    )
    bearer = {"authorization": f"bearer  {PLAIN}"}
    assert check("bearer", PLAIN, bearer) == (content, "order.placed")
    assert check("bearer", PLAIN, {**bearer, "idempotency-key": "k1"}).delivery_id == "k1"
    assert check("bearer", PLAIN, {**bearer, "idempotency-key": "k\n1"}).delivery_id == content
    assert check("bearer", PLAIN, bearer, b"[" * 100_000).kind == ""


@pytest.mark.parametrize(
    ("proof", "secret", "headers"),
    [
        ("github", PLAIN, {}),
        ("github", PLAIN, {"x-hub-signature-256": "sha256=é"}),
        ("github", PLAIN, {"x-hub-signature": "sha1=" + hmac.new(PLAIN.encode(), BODY, "sha1").hexdigest()}),
        (
            "github",
            "short",
            {"x-hub-signature-256": "sha256=" + hmac.new(b"short", BODY, "sha256").hexdigest()},
        ),
        ("bearer", PLAIN, {"authorization": PLAIN}),
        ("bearer", PLAIN, {"authorization": "Bearer"}),
        ("bearer", PLAIN, {"authorization": f"Bearer {PLAIN}x"}),
        ("bearer", "short", {"authorization": "Bearer short"}),
        ("bearer", "", {"authorization": "Bearer "}),
        ("standard", SECRET, {"webhook-id": "m", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}),
    ],
)
def test_what_proves_nothing_is_refused(proof: Proof, secret: str, headers: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated) as caught:
        check(proof, secret, headers)
    assert secret == "" or secret not in str(caught.value)


def test_a_secret_that_is_none_is_the_operator_s_mistake() -> None:
    with pytest.raises(InvalidInput, match="HOOK"):
        check("standard", PLAIN, {})


def test_patterns_of_types_know_one_sign() -> None:
    wants = matcher(("run.*", "approval.requested", "*.failed"))
    assert [kind for kind in ("run.created", "approval.requested", "step.failed") if wants(kind)] == [
        "run.created",
        "approval.requested",
        "step.failed",
    ]
    assert not any(map(wants, ("runs.created", "approval.requested.x", "xapproval.requested", "step_failed")))
    assert matcher(("*",))("anything")
    assert pattern_problems(("run.*",)) == []
    assert [problem.path for problem in pattern_problems(("run.*", "A", "a" * 101, "(.+)+", "*" * 5))] == [
        "events[1]",
        "events[2]",
        "events[3]",
        "events[4]",
    ]
    assert pattern_problems(())
