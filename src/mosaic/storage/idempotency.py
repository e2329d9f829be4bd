"""Requests that are done once: what was answered to the first one is kept, and given to every repetition."""

import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import and_, delete, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from mosaic.core.clock import Clock, now
from mosaic.core.values import content_hash
from mosaic.storage.database import Database
from mosaic.storage.models import idempotency_key
from mosaic.storage.transaction import Transaction

__all__ = ["Claim", "IdempotencyKeys", "KeptAnswer"]

KEPT_FOR = timedelta(hours=24)
_TIDY_EVERY = timedelta(minutes=1)
_TIDY_AT_MOST = 1_000
_row = idempotency_key.c


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What was answered.

    Attributes:
        headers: names and values, such as Location.
        body: None where the answer itself is not kept, because it is shown once or too large.
    """

    status: int
    headers: dict[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of the wish to do a request.

    Attributes:
        state: ``new``: do it, then `finish` or `release`. ``open``: somebody does it, or was cut off in it. ``done``:
            here is the answer. ``other``: the key was used for another request.
        since: when the first request with this key came.
        answer: of a request that is done.
    """

    tenant: str
    digest: str
    token: str
    state: Literal["new", "open", "done", "other"]
    since: datetime
    answer: KeptAnswer | None = None


class IdempotencyKeys:
    """The keys of the last day, durable and shared by every process; each tenant has its own.

    A key itself is not stored, only its hash: it may be somebody's order number.
    """

    def __init__(self, database: Database, *, clock: Clock = now) -> None:
        self._database = database
        self._clock = clock
        self._insert: Any = sqlite.insert if database.dialect == "sqlite" else postgresql.insert
        self._tidy_at: datetime | None = None

    async def claim(self, tenant: str, key: str, fingerprint: str) -> Claim:
        """Claim a key for the request of this fingerprint; exactly one of many at once gets ``new``.

        Args:
            tenant: whose.
            key: what the client has chosen, with whatever the caller adds to tell clients apart.
            fingerprint: a hash of the whole request, at most 80 characters.
        """
        moment = self._clock()
        digest, token = content_hash(key.encode()), secrets.token_hex(8)
        values = {
            "fingerprint": fingerprint, "token": token, "status": None, "headers": None, "body": None,
            "created_at": moment, "expires_at": moment + KEPT_FOR,
        }  # fmt: skip
        wanted = self._insert(idempotency_key).values(tenant_id=tenant, digest=digest, **values)
        wanted = wanted.on_conflict_do_update(
            index_elements=list(idempotency_key.primary_key), set_=values, where=_row.expires_at <= moment
        ).returning(_row.token)
        mine = select(idempotency_key).where(_row.digest == digest, _row.tenant_id == tenant)
        async with self._database.transaction() as tx:
            await self._tidy(tx, moment)
            if await tx.scalar(wanted) == token:
                return Claim(tenant, digest, token, "new", moment)
            found = await tx.row(mine)
        if found is None:  # released between the two statements: as if it were still being done
            return Claim(tenant, digest, "", "open", moment)
        if found["fingerprint"] != fingerprint:
            return Claim(tenant, digest, "", "other", found["created_at"])
        if found["status"] is None:
            return Claim(tenant, digest, "", "open", found["created_at"])
        body = bytes(found["body"]) if found["body"] is not None else None
        kept = KeptAnswer(int(found["status"]), json.loads(found["headers"]), body)
        return Claim(tenant, digest, "", "done", found["created_at"], kept)

    async def finish(self, claim: Claim, answer: KeptAnswer) -> None:
        """Keep what was answered; does nothing when the key is somebody else's by now."""
        values = {"status": answer.status, "headers": json.dumps(answer.headers), "body": answer.body}
        async with self._database.transaction() as tx:
            await tx.execute(update(idempotency_key).values(values).where(_own(claim)))

    async def release(self, claim: Claim) -> None:
        """Forget a request that changed nothing, so that it can be sent again under the same key."""
        async with self._database.transaction() as tx:
            await tx.execute(delete(idempotency_key).where(_own(claim)))

    async def _tidy(self, tx: Transaction, moment: datetime) -> None:
        """Now and then remove keys that are too old; a few at once, so that nobody waits for it."""
        if self._tidy_at is not None and moment - self._tidy_at < _TIDY_EVERY:
            return
        self._tidy_at = moment
        old = select(_row.tenant_id, _row.digest).where(_row.expires_at <= moment)
        gone = tuple_(_row.tenant_id, _row.digest).in_(old.order_by(_row.expires_at).limit(_TIDY_AT_MOST))
        await tx.execute(delete(idempotency_key).where(gone))


def _own(claim: Claim) -> Any:
    return and_(_row.token == claim.token, _row.digest == claim.digest, _row.tenant_id == claim.tenant)
