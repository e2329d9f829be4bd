"""Landlock: takes rights on files, TCP and signals from a process, for ever. See linux/landlock.h."""

import ctypes
import os
import sys
from typing import Any

_PR_SET_NO_NEW_PRIVS = 38

# System call numbers are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK, _REFER, _TRUNCATE, _IOCTL_DEV = 1 << 6, 1 << 11, 1 << 13, 1 << 14, 1 << 15
# write, remove a directory or file, make any kind of entry
_CHANGES = sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12))
_READS = _EXECUTE | _READ_FILE | _READ_DIR
# A device file is a way past every other rule for whoever may open it: nobody makes one.
_NEVER = _MAKE_CHAR | _MAKE_BLOCK
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_TCP = 0b11
_SCOPE_SIGNALS_AND_ABSTRACT_SOCKETS = 0b11


def landlock_version(libc: Any) -> int:
    """Return the kernel's Landlock version; 0 when it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))))


def confine(libc: Any, writable: list[str], readable: list[str] | None, *, network: bool) -> None:
    """Take from this process, for ever, the right to change files outside `writable`, and to signal outsiders.

    With `readable` it can read there and in `writable` only. Without `network` it can neither open nor accept TCP
    connections. A kernel that cannot do a part of it leaves that out.
    """
    version = landlock_version(libc)
    if version == 0:
        return
    changes = _CHANGES | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    devices = _IOCTL_DEV if version >= 5 else 0
    reads = 0 if readable is None else _READS
    attributes = [ctypes.c_uint64(changes | devices | reads)]
    if version >= 4:
        attributes.append(ctypes.c_uint64(0 if network else _TCP))
    if version >= 6:
        attributes.append(ctypes.c_uint64(_SCOPE_SIGNALS_AND_ABSTRACT_SOCKETS))
    packed = b"".join(bytes(value) for value in attributes)
    rules = _checked(libc.syscall(_CREATE_RULESET, packed, ctypes.c_size_t(len(packed)), ctypes.c_uint32(0)))
    for path in readable or []:
        _allow(libc, rules, path, reads)
    for path in writable:
        _allow(libc, rules, path, (changes & ~_NEVER) | reads | (devices if path.startswith("/dev/") else 0))
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(libc.syscall(_RESTRICT_SELF, rules, ctypes.c_uint32(0)))
    os.close(rules)


def _allow(libc: Any, rules: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # what cannot even be named needs no right
    allowed = rights if os.path.isdir(path) else rights & _OF_FILES
    rule = bytes(ctypes.c_uint64(allowed)) + bytes(ctypes.c_int32(opened))  # packed: no padding
    try:
        _checked(libc.syscall(_ADD_RULE, rules, _RULE_PATH_BENEATH, rule, ctypes.c_uint32(0)))
    finally:
        os.close(opened)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result
