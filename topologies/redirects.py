"""Redirects between interfaces, as ``tc filter … action mirred egress redirect``, by netlink.

Starting ``tc`` takes milliseconds, which a guest that is being moved would stand still. A filter's
handle is fixed, so that setting it again exchanges its target in one step: a frame meets the old
target or the new one.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

from topologies.errors import LabError

# linux/rtnetlink.h, linux/netlink.h
_NEWQDISC, _NEWTFILTER, _DELTFILTER, _ERROR = 36, 44, 45, 2
_REQUEST, _ACK, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400
_HEADER = struct.Struct("=IHHII")
_TCMSG = struct.Struct("=BxxxiIII")
_CLSACT, _CLSACT_HANDLE = 0xFFFFFFF1, 0xFFFF0000
_INGRESS = 0xFFFFFFF2  # parent of a clsact hook's incoming side
_HANDLE = 0x80000800  # 800::800
_PREF = 1 << 16
_EVERY_PROTOCOL = socket.htons(3)
# attributes: linux/rtnetlink.h, linux/pkt_cls.h, linux/tc_act/tc_mirred.h
_KIND, _OPTIONS = 1, 2
_U32_SEL, _U32_ACT = 5, 7
_ACT_KIND, _ACT_OPTIONS, _MIRRED_PARMS = 1, 2, 2
_STOLEN, _EGRESS_REDIRECT = 4, 1
_TERMINAL = 1
_MATCH_ALL = struct.pack("=BBBxHHhhI", _TERMINAL, 0, 1, 0, 0, 0, 0, 0) + bytes(16)
_ANSWER_S = 5.0


def add_hook(device: str) -> None:
    """Give a device what redirects attach to, unless it has it. It loses it with its namespace."""
    body = _TCMSG.pack(socket.AF_UNSPEC, _index(device), _CLSACT_HANDLE, _CLSACT, 0)
    code = _ask(_NEWQDISC, _CREATE | _EXCLUSIVE, body + _text(_KIND, "clsact"))
    if code != errno.EEXIST:
        _require(code, f"{device} cannot be given a hook for redirects")


def redirect(device: str, target: str) -> None:
    """Send all that arrives at ``device`` out of ``target``. LabError if the kernel refuses."""
    mirred = struct.pack("=IIiiiiI", 0, 0, _STOLEN, 0, 0, _EGRESS_REDIRECT, _index(target))
    action = _text(_ACT_KIND, "mirred") + _attribute(
        _ACT_OPTIONS, _attribute(_MIRRED_PARMS, mirred)
    )
    options = _attribute(_U32_SEL, _MATCH_ALL) + _attribute(_U32_ACT, _attribute(1, action))
    body = _text(_KIND, "u32") + _attribute(_OPTIONS, options)
    code = _ask(_NEWTFILTER, _CREATE, _filter(device, _HANDLE) + body)
    _require(code, f"{device} cannot be redirected to {target}")


def remove_redirect(device: str) -> None:
    """Let what arrives at ``device`` go where it would without a redirect; there need be none."""
    code = _ask(_DELTFILTER, 0, _filter(device, 0) + _text(_KIND, "u32"))
    if code not in (errno.ENOENT, errno.EINVAL):  # EINVAL: the hook has no filters at all
        _require(code, f"the redirect of {device} cannot be removed")


def _filter(device: str, handle: int) -> bytes:
    return _TCMSG.pack(socket.AF_UNSPEC, _index(device), handle, _INGRESS, _PREF | _EVERY_PROTOCOL)


def _index(device: str) -> int:
    try:
        return socket.if_nametoindex(device)
    except OSError:
        raise LabError(f"there is no interface {device}; the lab's wiring has changed.") from None


def _attribute(kind: int, body: bytes) -> bytes:
    """A netlink attribute, padded to four bytes."""
    return struct.pack("=HH", 4 + len(body), kind) + body + bytes(-len(body) % 4)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _ask(kind: int, flags: int, body: bytes) -> int:
    """One request to the kernel; the error number that it answers, 0 for none."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(_ANSWER_S)
        length = _HEADER.size + len(body)
        kernel.send(_HEADER.pack(length, kind, _REQUEST | _ACK | flags, 1, 0) + body)
        while True:
            answer = kernel.recv(65536)
            if _HEADER.unpack_from(answer)[1] == _ERROR:
                return -int(struct.unpack_from("=i", answer, _HEADER.size)[0])


def _require(code: int, what: str) -> None:
    if code:
        raise LabError(f"{what}: {os.strerror(code)}")
