"""The lab's run directory: its lock, and the journal of everything it makes outside itself.

One line of JSON per link, namespace or process, written before the thing is made where that is
possible. The next start reads what a killed lab left and removes exactly that: processes by PID
(with their start time, or by the instance mark in their environment), namespaces by their own
mount, links by name.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from topologies.errors import LabError

MARK = "P4NIC_LAB_INSTANCE"
_MS_BIND = 4096
_MNT_DETACH = 2
_KILL_DEADLINE_S = 5.0


def default_path() -> Path:
    """Where the lab of this machine keeps its run directory."""
    return Path(os.environ.get("P4NIC_LAB_RUN", "/run/p4nic-lab"))


@dataclass
class Removed:
    """What a clean-up removed, for the report to the user."""

    processes: list[int] = field(default_factory=list)
    namespaces: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.processes or self.namespaces or self.links)

    def __str__(self) -> str:
        parts = (
            (len(self.processes), "process", "processes"),
            (len(self.namespaces), "namespace", "namespaces"),
            (len(self.links), "link", "links"),
        )
        return ", ".join(f"{n} {one if n == 1 else many}" for n, one, many in parts if n)


class RunDirectory:
    """The locked run directory of one lab. Use as a context manager: leaving removes everything."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()
        self.instance = ""
        self._lock: IO[str] | None = None
        self._journal: IO[str] | None = None

    @property
    def socket(self) -> Path:
        """The control API's unix socket."""
        return self.path / "control.sock"

    @property
    def logs(self) -> Path:
        """Directory of the lab's and the switches' logs; kept after the lab has stopped."""
        return self.path / "logs"

    @property
    def environment(self) -> dict[str, str]:
        """Environment for the lab's processes: with the mark by which a clean-up knows them."""
        return {**os.environ, MARK: self.instance}

    def acquire(self) -> Removed:
        """Take the lock, remove what a killed lab left behind, and begin a new journal.

        Raises LabError if another lab holds the lock.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _lock(self.path / "lock")
        except OSError as error:
            raise LabError(
                f"the run directory {self.path} cannot be used: {error.strerror}; name another "
                "with P4NIC_LAB_RUN=DIRECTORY."
            ) from None
        removed = self.clean()
        self.instance = uuid.uuid4().hex
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir()
        (self.path / "ns").mkdir(exist_ok=True)
        self._journal = (self.path / "journal").open("w", encoding="utf-8")
        self._record({"instance": self.instance})
        return removed

    def release(self) -> None:
        """Remove all that is recorded, then give up the lock. Without the lock it is another's."""
        if self._lock is None:
            return
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        self.clean()
        self._lock.close()
        self._lock = None

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()

    # recording

    def record_links(self, names: Iterable[str]) -> None:
        """Note links of the root namespace that are about to be made.

        Raises LabError if one exists already: it is not the lab's, so the lab must not touch it.
        """
        names = list(names)
        taken = [name for name in names if Path("/sys/class/net", name).exists()]
        if taken:
            raise LabError(
                f"the network interface {taken[0]} exists already and the lab did not make it; "
                f"remove it (ip link del {taken[0]}) or rename the NIC or VM in the topology."
            )
        self._record({"links": names})

    def record_process(self, pid: int) -> None:
        """Note a process that the lab started."""
        self._record({"pid": pid, "start": _start_time(pid)})

    def record_namespace(self, name: str, pid: int) -> Path:
        """Pin the network namespace of process ``pid`` under ``ns/NAME`` and note it.

        The mount keeps the namespace's identity from being reused, so that a later clean-up can
        be sure which processes live in it. Returns the path, usable with ``nsenter --net=PATH``.
        """
        path = self.path / "ns" / name
        self._record({"namespace": name})
        path.touch()
        _mount(f"/proc/{pid}/ns/net", str(path))
        return path

    def _record(self, entry: dict[str, Any]) -> None:
        if self._journal is None:
            raise RuntimeError("the run directory is not acquired")
        self._journal.write(json.dumps(entry) + "\n")
        self._journal.flush()

    # removing

    def clean(self) -> Removed:
        """Remove everything that the journal names and is still there."""
        removed = Removed()
        entries = list(_read_journal(self.path / "journal"))
        inodes = {}
        for name in _strings(entries, "namespace"):
            path = self.path / "ns" / name
            if path.exists():
                inodes[name] = path.stat().st_ino
        removed.processes = _kill(_recorded_processes(entries, set(inodes.values())))
        for name in inodes:
            path = self.path / "ns" / name
            with contextlib.suppress(OSError):
                _unmount(str(path))
                removed.namespaces.append(name)
            path.unlink(missing_ok=True)
        names = [name for entry in entries for name in entry.get("links", [])]
        removed.links = _delete_links(names)
        self.socket.unlink(missing_ok=True)
        (self.path / "journal").unlink(missing_ok=True)
        return removed


def _lock(path: Path) -> IO[str]:
    """Open and lock a file, or say which process holds it."""
    handle = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        owner = handle.read().strip() or "unknown"
        handle.close()
        raise LabError(
            f"a lab is running already (process {owner}, run directory {path.parent}). Talk to it "
            "with .venv/bin/lab, or end it with exit at its prompt before starting another."
        ) from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def _read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """Entries of a journal; a last line cut short by a kill is left out."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            yield json.loads(line)


def _strings(entries: list[dict[str, Any]], key: str) -> list[str]:
    return [entry[key] for entry in entries if key in entry]


def _start_time(pid: int) -> int:
    """Kernel start time of a process in clock ticks; 0 if it is gone. With the PID, unique."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[19])


def _recorded_processes(entries: list[dict[str, Any]], inodes: set[int]) -> dict[int, int]:
    """PIDs, with start times, that the journal names, that carry its mark or live in its spaces."""
    known = {entry["pid"]: entry["start"] for entry in entries if "pid" in entry}
    marks = {f"{MARK}={value}".encode() for value in _strings(entries, "instance")}
    found = {}
    for path in Path("/proc").iterdir():
        if not path.name.isdigit() or int(path.name) == os.getpid():
            continue
        pid = int(path.name)
        start = _start_time(pid)
        if start and (known.get(pid) == start or _belongs(path, marks, inodes)):
            found[pid] = start
    return found


def _belongs(process: Path, marks: set[bytes], inodes: set[int]) -> bool:
    """Whether a process carries an instance mark or lives in one of the namespaces."""
    try:
        if process.joinpath("ns/net").stat().st_ino in inodes:
            return True
        return not marks.isdisjoint(process.joinpath("environ").read_bytes().split(b"\0"))
    except OSError:
        return False


def _kill(processes: dict[int, int]) -> list[int]:
    """End processes, first politely; each PID is checked against its start time before a signal."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid, start in processes.items():
            with contextlib.suppress(OSError):
                if _start_time(pid) == start:
                    os.kill(pid, number)
                    if number == signal.SIGTERM:
                        os.kill(pid, signal.SIGHUP)  # interactive shells ignore SIGTERM
        grace = 1.0 if number == signal.SIGTERM else _KILL_DEADLINE_S
        if _wait_gone(processes, grace):
            break
    return sorted(processes)


def _wait_gone(processes: dict[int, int], seconds: float) -> bool:
    """Wait until none of the processes runs; zombies count as gone."""
    deadline = time.monotonic() + seconds
    while any(_running(pid, start) for pid, start in processes.items()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _running(pid: int, start: int) -> bool:
    if _start_time(pid) != start:
        return False
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        return state != "Z"
    return False


def _delete_links(names: list[str]) -> list[str]:
    """Delete those of the named links that exist; returns the names."""
    there = [name for name in names if Path("/sys/class/net", name).exists()]
    if there:
        # The kernel waits after each deletion; a group goes in one. Nobody else's link is in this:
        # it is none of the small numbers that people give, and never 0, where all others are.
        group = 1 << 30 | secrets.randbits(30)
        commands = "".join(f"link set dev {name} group {group}\n" for name in there)
        commands += f"link del group {group}\n"
        # One may have gone by itself, with the namespace of its peer: -force goes on.
        subprocess.run(
            ["ip", "-force", "-batch", "-"], input=commands, text=True, capture_output=True
        )
        _wait_links_gone(there)
    return there


def _wait_links_gone(names: list[str]) -> None:
    """Wait for links that the kernel removes by itself, with the namespace of their peer."""
    deadline = time.monotonic() + _KILL_DEADLINE_S
    while any(Path("/sys/class/net", name).exists() for name in names):
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str) -> None:
    """Bind-mount one file over another."""
    if _libc.mount(source.encode(), target.encode(), b"none", _MS_BIND, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def _unmount(target: str) -> None:
    if _libc.umount2(target.encode(), _MNT_DETACH):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)
