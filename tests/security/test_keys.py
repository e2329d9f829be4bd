"""Virtual keys: shown once, looked up in memory, gone everywhere when they are revoked."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mosaic.core.context import Actor, Context
from mosaic.core.errors import Conflict, InvalidInput, NotFound, Unauthenticated
from mosaic.events import Bus, Journal, open_bus
from mosaic.security import KeyLimits, Keys, KeySettings, NewKey
from mosaic.storage import Database, StorageSettings
from tests.cost.conftest import until

pytestmark = pytest.mark.anyio

OTHER = Context("t2", "p1", Actor("user", "u2"))
MOMENT = datetime(2026, 11, 28, tzinfo=UTC)


class Watch:
    """A clock that a test holds."""

    def __init__(self) -> None:
        self.moment = MOMENT

    def __call__(self) -> datetime:
        return self.moment


def everything_in(folder: Path) -> bytes:
    """What a thief of the database file would have."""
    return b"".join(path.read_bytes() for path in folder.glob("mosaic.db*"))


@pytest.fixture
def clock() -> Watch:
    return Watch()


@pytest.fixture
async def keys(database: Database, journal: Journal, bus: Bus, clock: Watch) -> AsyncIterator[Keys]:
    keys = Keys(database, journal, bus, clock=clock)
    await keys.start()
    yield keys
    await keys.close()


@pytest.mark.requirement("ENT-60")
async def test_a_key_is_known_by_its_secret_which_is_kept_nowhere(
    keys: Keys, ctx: Context, database: Database, tmp_path: Path, journal: Journal
) -> None:
    key, secret = await keys.create(ctx, NewKey("editor", models=("fast", "smart-*")))
    assert secret.startswith("mk-")
    assert len(secret) > 40
    assert keys.lookup(secret) == keys.lookup(secret.encode()) == key
    assert key.tenant == "t1"
    assert key.prefix == secret[:10]
    assert (key.admits_model("smart-1"), key.admits_model("slow")) == (True, False)
    if database.dialect == "sqlite":
        await database.close()
        content = everything_in(tmp_path)
        assert secret.encode() not in content
        assert key.id.encode() in content
    else:
        events = await journal.read(ctx)
        assert [event.type for event in events] == ["key.created"]
        assert secret not in str([event.to_json() for event in events])


@pytest.mark.parametrize(
    "wrong", ["", "mk-", "mk-nobody", "\udc80", "sk-something-else", "mk-" + "x" * 10_000]
)
async def test_what_is_no_key_is_nobody(keys: Keys, wrong: str) -> None:
    with pytest.raises(Unauthenticated):
        keys.lookup(wrong)


@pytest.mark.requirement("ENT-60")
async def test_a_key_expires_by_itself(keys: Keys, ctx: Context, clock: Watch) -> None:
    key, secret = await keys.create(ctx, NewKey("brief", expires_at=MOMENT + timedelta(minutes=5)))
    assert keys.lookup(secret) == key
    clock.moment += timedelta(minutes=5)
    with pytest.raises(Unauthenticated, match="expired"):
        keys.lookup(secret)
    assert (await keys.get(ctx, key.id)).status(clock()) == "expired"
    with pytest.raises(Conflict):
        await keys.rotate(ctx, key.id)


@pytest.mark.requirement("ENT-60")
async def test_a_revoked_key_is_refused_at_once_and_by_other_processes_soon(
    keys: Keys, ctx: Context, storage_settings: StorageSettings, redactor: object, blobs: object
) -> None:
    key, secret = await keys.create(ctx, NewKey("editor"))
    database = Database(storage_settings)
    bus = open_bus(database)
    elsewhere = Keys(database, Journal(database, bus, redactor=redactor, blobs=blobs), bus)  # type: ignore[arg-type]  # fixtures
    await elsewhere.start()
    assert elsewhere.lookup(secret).id == key.id
    assert (await keys.revoke(ctx, key.id)).revoked_at == MOMENT
    assert (await keys.revoke(ctx, key.id)).revoked_at == MOMENT
    with pytest.raises(Unauthenticated):
        keys.lookup(secret)
    await until(_refused(elsewhere, secret))
    assert (await keys.list(ctx))[0].status(MOMENT) == "revoked"
    await elsewhere.close()
    await bus.close()
    await database.close()


async def test_a_lost_wake_is_made_up_for_by_looking_again(
    database: Database, journal: Journal, bus: Bus, ctx: Context, storage_settings: StorageSettings
) -> None:
    deaf = Keys(database, journal, bus, KeySettings(refresh_s=0.05))
    await deaf.start()
    silent = Database(storage_settings)
    quiet_bus = open_bus(silent)
    maker = Keys(silent, journal, _Mute(quiet_bus))  # type: ignore[arg-type]  # a bus that tells nobody
    key, secret = await maker.create(ctx, NewKey("late"))

    async def known() -> bool:
        try:
            return deaf.lookup(secret).id == key.id
        except Unauthenticated:
            return False

    await until(known)
    await deaf.close()
    await quiet_bus.close()
    await silent.close()


class _Mute:
    """A bus whose publications get lost."""

    def __init__(self, bus: Bus) -> None:
        self.subscribe = bus.subscribe

    def publish_in(self, tx: object, *topics: str) -> None:
        """Lose it."""


def _refused(keys: Keys, secret: str) -> Callable[[], Awaitable[bool]]:
    async def refused() -> bool:
        try:
            keys.lookup(secret)
        except Unauthenticated:
            return True
        return False

    return refused


async def test_a_rotated_key_takes_both_secrets_for_a_while(keys: Keys, ctx: Context, clock: Watch) -> None:
    key, old = await keys.create(ctx, NewKey("editor"))
    rotated, new = await keys.rotate(ctx, key.id, grace_s=60)
    assert rotated.id == key.id
    assert keys.lookup(old).id == keys.lookup(new).id == key.id
    clock.moment += timedelta(seconds=60)
    with pytest.raises(Unauthenticated):
        keys.lookup(old)
    assert keys.lookup(new).id == key.id
    _, newest = await keys.rotate(ctx, key.id, grace_s=0)
    with pytest.raises(Unauthenticated):
        keys.lookup(new)
    await keys.revoke(ctx, key.id)
    with pytest.raises(Unauthenticated):
        keys.lookup(newest)


@pytest.mark.requirement("ORC-75", "ENT-64")
async def test_another_tenant_sees_and_touches_no_key(keys: Keys, ctx: Context) -> None:
    key, secret = await keys.create(ctx, NewKey("editor"))
    assert await keys.list(OTHER) == []
    for forbidden in (keys.get(OTHER, key.id), keys.revoke(OTHER, key.id), keys.rotate(OTHER, key.id)):
        with pytest.raises(NotFound):
            await forbidden
    assert keys.lookup(secret) == key
    await keys.create(OTHER, NewKey("theirs"))
    assert [one.name for one in await keys.list(ctx)] == ["editor"]


@pytest.mark.requirement("ENT-60", "ORC-78")
async def test_a_key_is_scoped(keys: Keys, ctx: Context) -> None:
    limits = KeyLimits(requests_per_minute=10, concurrency=2)
    key, secret = await keys.create(
        ctx, NewKey("narrow", project="web", routes=("cheap*",), scopes=("chat",), limits=limits)
    )
    found = keys.lookup(secret)
    assert (found.project, found.limits) == ("web", limits)
    assert (found.admits("chat"), found.admits("embed")) == (True, False)
    assert (found.admits_route("cheap-1"), found.admits_route("fast")) == (True, False)
    assert await keys.list(ctx, project="web") == [key]
    assert await keys.list(ctx, project="other") == []


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        (NewKey(""), "name"),
        (NewKey("a\nb"), "name"),
        (NewKey("x", models=("",)), "models[0]"),
        (NewKey("x", scopes=("fly",)), "scopes"),
        (NewKey("x", expires_at=MOMENT), "expires_at"),
        (NewKey("x", limits=KeyLimits(concurrency=0)), "limits.concurrency"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused_with_the_place(
    keys: Keys, ctx: Context, wanted: NewKey, where: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await keys.create(ctx, wanted)
    assert [problem.path for problem in caught.value.problems] == [where]
    assert await keys.list(ctx) == []
