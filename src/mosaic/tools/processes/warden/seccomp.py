"""A filter of system calls: refuses what no build or test needs and what kernels are attacked with."""

import ctypes
import errno
import os
import platform
import struct
from typing import Any

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_X32 = 0x40000000
_NEW_NAMESPACES = 0x7E020000
_TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16

# Numbers on x86_64 and aarch64: keys, kernel programs, performance counters, modules, mounts, swap, namespaces,
# files by handle, quotas, clocks, the kernel's log, ports.
_REFUSED = {
    "x86_64": "103 153 155 159 161 163 164 165 166 167 168 169 172 173 175 176 179 180 212 227 246 248 249 250 272"
    " 298 304 305 308 313 320 321 323",
    "aarch64": "18 39 40 41 42 51 58 60 89 97 104 105 106 112 116 142 170 171 217 218 219 224 225 241 265 266 268"
    " 273 280 282 294",
}
_REFUSED_EVERYWHERE = (428, 429, 430, 431, 432, 433, 442, 443)
# What programs have a way around when the kernel is older: asynchronous rings (they make sockets that no filter sees)
# and `clone3`, whose flags a filter cannot read.
_ABSENT = (425, 426, 427, 435)
# architecture as the kernel numbers it, then `clone`, `ioctl`, `socket`
_MACHINES = {"x86_64": (0xC000003E, 56, 16, 41), "aarch64": (0xC00000B7, 220, 29, 198)}


def filter_program(*, network: bool, unix: bool) -> bytes:
    """Return the filter as the kernel reads it; empty on a machine whose numbers are not known.

    Args:
        network: whether sockets of the internet families may be made.
        unix: whether sockets of this machine (AF_UNIX) may be made; pairs always may.
    """
    machine = platform.machine()
    if machine not in _MACHINES:
        return b""
    architecture, clone, ioctl, make_socket = _MACHINES[machine]
    families = [*([_UNIX] if unix else []), *([_INET, _INET6, _NETLINK] if network else [])]
    program = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_EQUAL, architecture, 1, 0),
        _refuse(errno.EPERM),
        _step(_LOAD, _NUMBER_AT),
        _step(_AT_LEAST, _X32, 0, 1),
        _refuse(errno.ENOSYS),
    ]
    for number in (*map(int, _REFUSED[machine].split()), *_REFUSED_EVERYWHERE):
        program += [_step(_EQUAL, number, 0, 1), _refuse(errno.EPERM)]
    for number in _ABSENT:
        program += [_step(_EQUAL, number, 0, 1), _refuse(errno.ENOSYS)]
    program += _about(clone, 0, [_step(_ANY_BIT, _NEW_NAMESPACES, 0, 1), _refuse(errno.EPERM), _allow()])
    injections = [_step(_EQUAL, request, 0, 1) + _refuse(errno.EPERM) for request in _TERMINAL_INJECTION]
    program += _about(ioctl, 1, [*injections, _allow()])
    allowed = [_step(_EQUAL, family, 0, 1) + _allow() for family in families]
    program += _about(make_socket, 0, [*allowed, _refuse(errno.EAFNOSUPPORT)])
    return b"".join([*program, _allow()])


def install_filter(libc: Any, program: bytes) -> None:
    """Put this process under the filter, for ever.

    Raises:
        OSError: if the kernel refuses.
    """
    held = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(held))
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, described, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")


def _about(number: int, argument: int, steps: list[bytes]) -> list[bytes]:
    """Return the steps that a call with this number takes, its argument loaded; all of them end in a verdict."""
    body = b"".join([_step(_LOAD, _ARGUMENTS_AT + 8 * argument), *steps])
    return [_step(_EQUAL, number, 0, len(body) // 8), body]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _refuse(number: int) -> bytes:
    return _step(_RETURN, _ERRNO | number)


def _allow() -> bytes:
    return _step(_RETURN, _ALLOW)
