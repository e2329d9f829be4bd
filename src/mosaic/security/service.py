"""Virtual keys: made, listed, rotated, revoked; looked up without a question to the database."""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

from mosaic.core.clock import Clock, now
from mosaic.core.context import Context
from mosaic.core.errors import Conflict, NotFound, Unauthenticated, Unavailable
from mosaic.core.ids import new_id
from mosaic.events import Bus, Journal, NewEvent
from mosaic.security.repository import KeyRepository
from mosaic.security.schemas import KeySettings, NewKey, VirtualKey
from mosaic.storage import Database, Transaction

__all__ = ["Keys"]

_TOPIC = "keys"
_PREFIX = "mk-"
_SECRET_BYTES = 32
_SHOWN_CHARACTERS = 10

log = logging.getLogger(__name__)

# A key and the moment at which this secret of it ends, in seconds since 1970; infinite when it does not.
_Known = tuple[VirtualKey, float]


class Keys:
    """The keys of an installation.

    `lookup` asks a table in memory, which is read again when any process changes a key: it is told by the bus, and
    looks for itself every `KeySettings.refresh_s` seconds. Only digests are kept and compared, so a timing tells
    nothing of a secret.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        bus: Bus,
        settings: KeySettings | None = None,
        *,
        clock: Clock = now,
    ) -> None:
        self._database = database
        self._journal = journal
        self._bus = bus
        self._settings = settings or KeySettings()
        self._clock = clock
        self._rows = KeyRepository(database.dialect)
        self._known: dict[bytes, _Known] = {}
        self._revision = -1
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the keys and follow their changes until `close`."""
        await self.refresh()
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="keys")

    async def close(self) -> None:
        """Stop following changes."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None

    def lookup(self, secret: str | bytes) -> VirtualKey:
        """Return the key whose secret this is.

        Raises:
            Unauthenticated: if it is none, is revoked, or has expired.
        """
        raw = secret if isinstance(secret, bytes) else secret.encode("utf-8", "surrogatepass")
        known = self._known.get(hashlib.sha256(raw).digest())
        if known is None:
            raise Unauthenticated(
                "The key is not known here.",
                hint="`mosaic keys list` shows the keys, `mosaic keys create` makes one.",
            )
        key, until = known
        if until != _FOR_EVER and self._clock().timestamp() >= until:
            raise Unauthenticated(
                f"The key {key.prefix}… has expired.",
                hint="Ask for a new one: `mosaic keys create`.",
                key=key.id,
            )
        return key

    async def create(
        self,
        ctx: Context,
        wanted: NewKey,
        *,
        within: Callable[[Transaction, VirtualKey], Awaitable[None]] | None = None,
    ) -> tuple[VirtualKey, str]:
        """Make a key; return it with its secret, which is kept nowhere.

        Args:
            ctx: the tenant, the project unless `wanted` names one, and who makes it.
            wanted: what it is for.
            within: awaited in the same transaction, for what belongs to the key, such as its budget.

        Raises:
            InvalidInput: naming each field that is wrong.
        """
        moment = self._clock()
        wanted.check(moment)
        secret, digest = self._secret()
        key = VirtualKey(
            id=new_id("key"), tenant=ctx.tenant, project=wanted.project or ctx.project, name=wanted.name,
            prefix=secret[:_SHOWN_CHARACTERS], models=wanted.models, routes=wanted.routes,
            scopes=frozenset(wanted.scopes), limits=wanted.limits, created_at=moment, created_by=str(ctx.actor),
            expires_at=wanted.expires_at,
        )  # fmt: skip
        async with self._database.transaction() as tx:
            await self._rows.add(tx, key, digest)
            if within is not None:
                await within(tx, key)
            await self._note(tx, ctx, "key.created", key)
        await self.refresh()
        return key, secret

    async def list(self, ctx: Context, *, project: str | None = None) -> list[VirtualKey]:
        """Return the tenant's keys, newest first; revoked and expired ones too."""
        async with self._database.transaction(read_only=True) as tx:
            return await self._rows.list(tx, ctx.tenant, project=project)

    async def get(self, ctx: Context, key_id: str) -> VirtualKey:
        """Return one key.

        Raises:
            NotFound: if the tenant has none with that id.
        """
        async with self._database.transaction(read_only=True) as tx:
            return await self._found(tx, ctx, key_id)

    async def revoke(self, ctx: Context, key_id: str) -> VirtualKey:
        """Make a key useless, everywhere, at once. A key that is revoked stays so.

        Raises:
            NotFound: if the tenant has none with that id.
        """
        async with self._database.transaction() as tx:
            before = await self._found(tx, ctx, key_id)
            if before.revoked_at is None:
                await self._rows.revoke(tx, ctx.tenant, key_id, self._clock())
                await self._note(tx, ctx, "key.revoked", before)
        await self.refresh()
        return await self.get(ctx, key_id)

    async def rotate(
        self, ctx: Context, key_id: str, *, grace_s: float | None = None
    ) -> tuple[VirtualKey, str]:
        """Give a key another secret; return both. The old secret stays good for `grace_s` seconds.

        Raises:
            NotFound: if the tenant has none with that id.
            Conflict: if it is revoked or has expired.
        """
        moment = self._clock()
        grace = timedelta(seconds=self._settings.rotation_grace_s if grace_s is None else max(grace_s, 0.0))
        secret, digest = self._secret()
        async with self._database.transaction() as tx:
            before = await self._found(tx, ctx, key_id)
            if (status := before.status(moment)) != "active":
                raise Conflict(f"The key {key_id} is {status}.", hint="Make a new one: `mosaic keys create`.")
            prefix, until = secret[:_SHOWN_CHARACTERS], moment + grace
            await self._rows.rotate(tx, ctx.tenant, key_id, digest=digest, prefix=prefix, old_until=until)
            key = replace(before, prefix=prefix, old_until=until)
            await self._note(tx, ctx, "key.rotated", key)
        await self.refresh()
        return key, secret

    async def refresh(self) -> None:
        """Read the keys again if anybody changed one."""
        async with self._database.transaction(read_only=True) as tx:
            revision = await self._rows.revision(tx)
            if revision == self._revision:
                return
            moment = self._clock()
            usable = await self._rows.every_usable(tx, moment)
        known: dict[bytes, _Known] = {}
        for key, digest, old_digest in usable:
            until = _seconds(key.expires_at)
            known[bytes.fromhex(digest)] = (key, until)
            if old_digest is not None and key.old_until is not None and key.old_until > moment:
                known[bytes.fromhex(old_digest)] = (key, min(until, _seconds(key.old_until)))
        # One assignment: a lookup sees the old table or the new one.
        self._known, self._revision = known, revision

    async def _watch(self) -> None:
        with self._bus.subscribe(_TOPIC) as subscription:
            while True:
                await subscription.wait(timeout_s=self._settings.refresh_s)
                try:
                    await self.refresh()
                except Unavailable as error:  # what is in memory stays good through an outage
                    log.warning("the keys could not be read again: %s", error)
                except Exception:  # a worker: whatever it was, it looks again
                    log.exception("the keys could not be read again")

    async def _found(self, tx: Transaction, ctx: Context, key_id: str) -> VirtualKey:
        key = await self._rows.get(tx, ctx.tenant, key_id)
        if key is None:
            raise NotFound(f"There is no key {key_id}.", hint="`mosaic keys list` shows them.")
        return key

    async def _note(self, tx: Transaction, ctx: Context, event: str, key: VirtualKey) -> None:
        await self._rows.changed(tx)
        self._bus.publish_in(tx, _TOPIC)
        shown = {"key": key.id, "name": key.name, "project": key.project, "prefix": key.prefix}
        await self._journal.append(tx, ctx, [NewEvent(event, shown)])

    @staticmethod
    def _secret() -> tuple[str, str]:
        secret = _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        return secret, hashlib.sha256(secret.encode()).hexdigest()


_FOR_EVER = float("inf")


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment is not None else _FOR_EVER
