"""Take the network away from this process and its children (Linux), and end it together with the process above it.

`cut_network` must run before anything starts a second thread: neither means reaches threads that run already.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
import sys
from contextlib import suppress
from pathlib import Path

# prctl(2)
_SET_DEATH_SIGNAL, _SET_SECCOMP, _SET_NO_NEW_PRIVILEGES = 1, 22, 38
_FILTER = 2
# seccomp(2): what a filter reads, and what it answers
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # instructions of BPF on 32-bit words
# System calls that make a socket, or that reach into a process which may make one: socket, io_uring_setup,
# io_uring_enter, ptrace, process_vm_writev, pidfd_getfd, setns. The numbers are those of the kernel's tables.
_CALLS = {
    "x86_64": (0xC000003E, (41, 425, 426, 101, 311, 438, 308)),
    "aarch64": (0xC00000B7, (198, 425, 426, 117, 271, 438, 268)),
}
_OTHER_NUMBERS = 0x40000000  # of x86-64: from here on, the same calls once more (x32)
_INSTRUCTION = struct.Struct("=HBBI")
_NEW_USER_AND_NETWORK = 0x10000000 | 0x40000000  # flags of unshare(2)


def cut_network() -> str | None:
    """Take away sockets, or else network devices, for good, from this process and those that it starts.

    Returns:
        "seccomp": the kernel refuses to make sockets of any kind. "namespace": the process has a network of its own
        without devices; sockets of the file system can be reached. None: neither can be had here, and nothing changed.
    """
    if not sys.platform.startswith("linux"):
        return None
    for name, means in (("seccomp", _refuse_sockets), ("namespace", _leave_network)):
        if means():
            return name
    return None


def end_with_parent() -> None:
    """Have this process killed when the one that started it ends (Linux)."""
    if sys.platform.startswith("linux"):
        _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


def _prctl(option: int, *arguments: int) -> bool:
    """Return whether the kernel did what `option` names."""
    words = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)][:4]
    return bool(ctypes.CDLL(None).prctl(option, *words) == 0)


def _refuse_sockets() -> bool:
    """Return whether a seccomp filter now refuses the calls of `_CALLS`."""
    known = _CALLS.get(platform.machine())
    if known is None or sys.maxsize < 2**32:  # a 32-bit Python makes the calls of another table
        return False
    instructions = ctypes.create_string_buffer(_filter(*known))
    length = (len(instructions) - 1) // _INSTRUCTION.size
    program = ctypes.create_string_buffer(struct.pack("@HP", length, ctypes.addressof(instructions)))
    return _prctl(_SET_NO_NEW_PRIVILEGES, 1) and _prctl(_SET_SECCOMP, _FILTER, ctypes.addressof(program))


def _filter(architecture: int, calls: tuple[int, ...]) -> bytes:
    """Return a filter that refuses these calls, and every call of another architecture's table."""
    tests = [(_EQUAL, call) for call in calls] + [(_AT_LEAST, _OTHER_NUMBERS)]
    steps = [  # instruction, how many to skip where its test holds and where not, value
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, len(tests) + 2, architecture),
        (_LOAD, 0, 0, _NUMBER),
        *((test, len(tests) - index, 0, value) for index, (test, value) in enumerate(tests)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(_INSTRUCTION.pack(*step) for step in steps)


def _leave_network() -> bool:
    """Return whether this process is now in a user and network namespace of its own."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None).unshare(_NEW_USER_AND_NETWORK) != 0:
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with suppress(OSError):  # without a map the process is nobody, and may still do what it has to
            Path("/proc/self", name).write_text(text, encoding="ascii")
    return True
