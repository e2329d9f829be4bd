"""Namespaces of its own for a command, made without any program: user, mounts, network, IPC and host name."""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from typing import Any

_NEW_MOUNTS, _NEW_UTS, _NEW_IPC, _NEW_USER, _NEW_NET = 0x20000, 0x04000000, 0x08000000, 0x10000000, 0x40000000
_BIND, _RECURSIVELY, _PRIVATE = 0x1000, 0x4000, 0x40000
_MOUNT_SETATTR, _HERE, _AT_RECURSIVE, _READ_ONLY = 442, -100, 0x8000, 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def enter_namespaces(libc: Any, writable: list[str], protected: list[str], *, own_network: bool) -> None:
    """Make everything read-only but `writable`, also modes, times and owners; cut the network off on demand.

    What is `protected` lies inside of `writable` and stays as it is. A network of its own has a loopback interface
    and nothing else.

    Raises:
        OSError: if this system does not let us.
    """
    user, group = os.geteuid(), os.getegid()
    flags = _NEW_USER | _NEW_MOUNTS | _NEW_IPC | _NEW_UTS | (_NEW_NET if own_network else 0)
    _checked(libc.unshare(flags), "namespaces")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    _checked(libc.mount(b"none", b"/", None, _PRIVATE | _RECURSIVELY, None), "mounts")
    for path in (*writable, *protected):
        place = os.fsencode(path)
        _checked(libc.mount(place, place, None, _BIND | _RECURSIVELY, None), path)
    _set_read_only(libc, "/", _AT_RECURSIVE, on=True)
    for path in writable:
        _set_read_only(libc, path, 0, on=False)
    if own_network:
        _bring_loopback_up()


def _set_read_only(libc: Any, path: str, flags: int, *, on: bool) -> None:
    attributes = struct.pack("4Q", _READ_ONLY if on else 0, 0 if on else _READ_ONLY, 0, 0)
    done = libc.syscall(
        _MOUNT_SETATTR, _HERE, os.fsencode(path), flags, attributes, ctypes.c_size_t(len(attributes))
    )
    _checked(done, path)


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = bytearray(struct.pack("16sH22x", b"lo", 0))
        fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        (flags,) = struct.unpack_from("H", request, 16)
        struct.pack_into("H", request, 16, flags | _IFF_UP)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def drop_capabilities(libc: Any) -> None:
    """Give up every privilege, also that of the superuser; no program gives it back."""
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    for number in range(64):
        if libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            break  # beyond the last one, or nothing to give up
    header, nothing = struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24)
    with contextlib.suppress(OSError):
        libc.capset(header, nothing)
