"""Versions: every policy that was in force is kept under the hash of its files."""

import json

from mosaic.core.clock import Clock, now
from mosaic.core.errors import NotFound
from mosaic.core.values import JsonObject
from mosaic.storage import BlobStore, Database
from mosaic.tools.policies.files import LoadedPolicy
from mosaic.tools.policies.repository import PolicyRepository
from mosaic.tools.policies.schemas import PolicyVersion

__all__ = ["PolicyVersions"]

_MOST_LISTED = 1_000


class PolicyVersions:
    """Keeps and lists the versions of an installation's policy."""

    def __init__(self, database: Database, blobs: BlobStore, *, clock: Clock = now) -> None:
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._repository = PolicyRepository(database.dialect)

    async def keep(self, policy: LoadedPolicy) -> None:
        """Keep a version with its files; may be repeated. The policy of no file is no version."""
        if policy.version is None:
            return
        await self._blobs.put(policy.content)
        version = PolicyVersion(policy.version, tuple(policy.texts), len(policy.book.rules), self._clock())
        async with self._database.transaction() as tx:
            await self._repository.keep_version(tx, version)

    async def list(self) -> list[PolicyVersion]:
        """Return the versions that were in force, the newest first."""
        async with self._database.transaction(read_only=True) as tx:
            return [*await self._repository.versions(tx, _MOST_LISTED)]

    async def files(self, version: str) -> tuple[PolicyVersion, JsonObject]:
        """Return a version and its files, name -> content. A unique beginning of its hash will do.

        Raises:
            NotFound: if there is none, or several begin so.
        """
        wanted = version if version.startswith("sha256:") else f"sha256:{version}"
        fitting = [kept for kept in await self.list() if kept.version.startswith(wanted)]
        if len(fitting) != 1 or len(wanted) < len("sha256:") + 4:
            raise NotFound(
                f"There is no version {version[:80]!r} of the policy, or more than one begins so.",
                hint="List them: mosaic policy versions",
            )
        texts: JsonObject = json.loads(await self._blobs.get(fitting[0].version))
        return fitting[0], texts
