"""Where data is kept: database, transactions, group commit, blobs, the data lock, migrations."""

from mosaic.storage.blobs import BlobStore, FileBlobs, MemoryBlobs
from mosaic.storage.columns import ExactJson, Json, UtcDateTime, metadata
from mosaic.storage.database import Database
from mosaic.storage.database_blobs import DatabaseBlobs, open_blobs
from mosaic.storage.errors import Duplicate, Refused
from mosaic.storage.group_commit import GroupCommitter
from mosaic.storage.idempotency import Claim, IdempotencyKeys, KeptAnswer
from mosaic.storage.lock import DataLock, LockOwner, read_owner
from mosaic.storage.pending import Pending
from mosaic.storage.prepared import DialectName, Prepared, stored_time
from mosaic.storage.settings import StorageSettings
from mosaic.storage.transaction import Announcer, Executable, SyncTransaction, Transaction

# What repositories make and a transaction executes; opaque to services.
Write = Executable

__all__ = [
    "Announcer",
    "BlobStore",
    "Claim",
    "DataLock",
    "Database",
    "DatabaseBlobs",
    "DialectName",
    "Duplicate",
    "ExactJson",
    "Executable",
    "FileBlobs",
    "GroupCommitter",
    "IdempotencyKeys",
    "Json",
    "KeptAnswer",
    "LockOwner",
    "MemoryBlobs",
    "Pending",
    "Prepared",
    "Refused",
    "StorageSettings",
    "SyncTransaction",
    "Transaction",
    "UtcDateTime",
    "Write",
    "metadata",
    "open_blobs",
    "read_owner",
    "stored_time",
]
