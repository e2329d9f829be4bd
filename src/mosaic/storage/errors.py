"""What a database or file error means to MosAIc.

Beside the errors of `mosaic.core.errors`, two of our own::

    Conflict
    └── Refused      409  a constraint of the database refused a row
        └── Duplicate    409  a row with that key is there already
"""

import errno

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mosaic.core.errors import Conflict, MosaicError, StorageFull, Unavailable

__all__ = ["Duplicate", "Refused", "is_crossed", "is_lock_conflict", "translate", "translate_os_error"]

_FULL_HINT = "Free some space and try again; nothing of this change was written."
_SQLITE_LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
_SQLITE_UNREACHABLE = (
    "SQLITE_CANTOPEN",
    "SQLITE_IOERR",
    "SQLITE_READONLY",
    "SQLITE_NOTADB",
    "SQLITE_CORRUPT",
)
_PG_CROSSED = ("40P01", "40001")
_PG_LOCKED = ("55P03", *_PG_CROSSED)
# Classes 08 connection, 53 resources, 57 operator intervention, 58 system error; and 25P03 and 25P04: the server ended
# a session that idled in its transaction for too long, as one does on a machine that is starved or was suspended.
_PG_UNREACHABLE = ("08", "53", "57", "58", "28", "3D", "25P03", "25P04")
_UNIQUE = ("SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_ROWID", "23505")
_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Refused(Conflict):
    """A constraint of the database refused a row; nothing of that transaction was written."""

    code = "row_refused"


class Duplicate(Refused):
    """A row with that key is there already."""

    code = "duplicate_row"


def _codes(error: BaseException) -> tuple[str, str]:
    """Return SQLite's error name and PostgreSQL's SQLSTATE of the driver's error; empty when there is none."""
    origin: object = error.orig if isinstance(error, DBAPIError) else error
    driver = getattr(origin, "driver_exception", None) or getattr(origin, "__cause__", None) or origin
    name = getattr(origin, "sqlite_errorname", None) or getattr(driver, "sqlite_errorname", None)
    state = getattr(origin, "sqlstate", None) or getattr(driver, "sqlstate", None)
    return str(name or ""), str(state or "")


def is_lock_conflict(error: BaseException) -> bool:
    """Say whether another writer was in the way."""
    name, state = _codes(error)
    return name.startswith(_SQLITE_LOCKED) or state in _PG_LOCKED


def is_crossed(error: BaseException) -> bool:
    """Say whether two writers waited for each other, so that the same change may succeed now."""
    return _codes(error)[1] in _PG_CROSSED


def _cannot_connect(error: BaseException) -> bool:
    # By name: SQLAlchemy's class and each driver's are different ones of the same name.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool(kinds & {"OperationalError", "InterfaceError"})


def translate(error: BaseException, *, where: str, holder: str | None = None) -> MosaicError | None:
    """Return the MosAIc error for a database error; None when it is a mistake of ours, to be raised as it is.

    Args:
        error: what SQLAlchemy or the driver raised.
        where: the database, as a user knows it; never with a password.
        holder: who holds the lock, when that is known.
    """
    name, state = _codes(error)
    if name.startswith("SQLITE_CONSTRAINT") or state.startswith("23"):
        kind = Duplicate if name in _UNIQUE or state in _UNIQUE else Refused
        constraint = _constraint(error, by_trigger=name == "SQLITE_CONSTRAINT_TRIGGER")
        return kind(f"The database refused a row: {constraint}.", constraint=constraint)
    if name == "SQLITE_FULL" or state == "53100":
        return StorageFull(f"The disk of {where} is full.", hint=_FULL_HINT)
    if name.startswith(_SQLITE_LOCKED) or state in _PG_LOCKED:
        by = f" by {holder}" if holder else " by another writer"
        return Unavailable(
            f"The database {where} is locked{by}.",
            hint="Wait for it to finish, or end that process, and try again.",
        )
    if name.startswith(_SQLITE_UNREACHABLE) or state.startswith(_PG_UNREACHABLE):
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        return Unavailable(
            f"The database {where} cannot be used: {reason}.", hint="Check that it exists and can be written."
        )
    if isinstance(error, PoolTimeout):
        return Unavailable(f"Every connection to {where} is in use.", hint="Raise storage.pool_size.")
    if not name and not state and _cannot_connect(error):
        return Unavailable(
            f"The database {where} cannot be reached.", hint="Check that it is running and the URL is right."
        )
    return None


def _constraint(error: BaseException, *, by_trigger: bool) -> str:
    """Return the constraint's name or columns, or a trigger's message; never the row, which may hold anything."""
    origin = error.orig if isinstance(error, DBAPIError) else error
    diagnostics = getattr(origin, "diag", None)
    if diagnostics is not None:
        named = diagnostics.constraint_name or diagnostics.column_name or diagnostics.message_primary
        return str(named or "a constraint")
    return str(origin) if by_trigger else str(origin).partition(": ")[2]


def translate_os_error(error: OSError, *, where: str) -> MosaicError:
    """Return the MosAIc error for a failed file operation under `where`."""
    if error.errno in _FULL_ERRNOS:
        return StorageFull(f"The disk that holds {where} is full.", hint=_FULL_HINT)
    return Unavailable(
        f"{where} cannot be used: {error.strerror or error}.", hint="Check that it can be written."
    )
