"""The run directory: one lab at a time, and a clean-up that removes what was made and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from control.errors import ControlError
from topologies.rundir import RunDirectory

from .helpers import needs_root, wait_for

NAME = f"r{os.getpid() % 100000}"
SLEEP = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"]


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


def killed(run_dir: Path) -> RunDirectory:
    """An acquired run directory whose owner is then gone without a clean-up."""
    owner = RunDirectory(run_dir)
    owner.acquire()
    return owner


def abandon(owner: RunDirectory) -> None:
    """What the kernel does when the owner is killed: files are closed, nothing else happens."""
    for handle in (owner._lock, owner._journal):
        assert handle is not None
        handle.close()


def test_a_second_lab_is_told_who_runs(run_dir: Path) -> None:
    with RunDirectory(run_dir) as first:
        first.acquire()
        with pytest.raises(ControlError, match=rf"running already \(process {os.getpid()}"):
            RunDirectory(run_dir).acquire()
    with RunDirectory(run_dir) as again:
        assert not again.acquire()


def test_what_a_running_lab_made_stays_when_another_is_refused(run_dir: Path) -> None:
    with RunDirectory(run_dir) as first:
        first.acquire()
        first.socket.touch()
        with (
            subprocess.Popen(SLEEP, stdout=subprocess.PIPE, env=first.environment) as process,
            pytest.raises(ControlError, match="running already"),
            RunDirectory(run_dir) as second,
        ):
            assert process.stdout is not None and process.stdout.readline()
            first.record_process(process.pid)
            try:
                second.acquire()
            finally:
                second.release()
                alive = process.poll() is None
                process.kill()
        assert alive
        assert first.socket.exists() and (run_dir / "journal").exists()


@needs_root
def test_links_namespaces_and_processes_of_a_killed_lab_are_removed(run_dir: Path) -> None:
    owner = killed(run_dir)
    owner.record_links([f"{NAME}a"])
    subprocess.run(
        ["ip", "link", "add", f"{NAME}a", "type", "veth", "peer", "name", f"{NAME}b"], check=True
    )
    inside = subprocess.Popen(["unshare", "-n", *SLEEP], stdout=subprocess.PIPE)
    marked = subprocess.Popen(SLEEP, stdout=subprocess.PIPE, env=owner.environment)
    with inside, marked:
        for process in (inside, marked):
            assert process.stdout is not None
            process.stdout.readline()
        owner.record_namespace("vm1", inside.pid)
        abandon(owner)
        with RunDirectory(run_dir) as successor:
            removed = successor.acquire()
        assert inside.wait(5) < 0
        assert marked.wait(5) < 0
    assert removed.links == [f"{NAME}a"]
    assert removed.namespaces == ["vm1"]
    assert {inside.pid, marked.pid} <= set(removed.processes)
    assert not Path("/sys/class/net", f"{NAME}a").exists()
    assert not list((run_dir / "ns").iterdir())


@needs_root
def test_a_link_that_the_lab_did_not_make_is_refused_and_stays(run_dir: Path) -> None:
    subprocess.run(["ip", "link", "add", f"{NAME}x", "type", "veth"], check=True)
    try:
        with RunDirectory(run_dir) as rundir:
            rundir.acquire()
            with pytest.raises(ControlError, match=f"{NAME}x exists already"):
                rundir.record_links([f"{NAME}x"])
        assert Path("/sys/class/net", f"{NAME}x").exists()
    finally:
        subprocess.run(["ip", "link", "del", f"{NAME}x"], check=True)


def test_a_process_that_got_a_recorded_pid_later_is_left_alone(run_dir: Path) -> None:
    owner = killed(run_dir)
    abandon(owner)
    with subprocess.Popen(SLEEP, stdout=subprocess.PIPE) as stranger:
        entry = {"pid": stranger.pid, "start": 1}  # same number, another start time
        with (run_dir / "journal").open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(entry) + "\n")
        with RunDirectory(run_dir) as successor:
            assert stranger.pid not in successor.acquire().processes
        assert stranger.poll() is None
        stranger.kill()


def test_a_journal_cut_short_by_the_kill_is_read_as_far_as_it_goes(run_dir: Path) -> None:
    owner = killed(run_dir)
    abandon(owner)
    with (run_dir / "journal").open("a", encoding="utf-8") as journal:
        journal.write('{"links": ["x')
    with RunDirectory(run_dir) as successor:
        assert not successor.acquire().links


def test_only_its_owner_may_enter_the_run_directory(run_dir: Path) -> None:
    with RunDirectory(run_dir) as rundir:
        rundir.acquire()
        assert run_dir.stat().st_mode & 0o077 == 0


def test_processes_that_ignore_politeness_are_killed(run_dir: Path) -> None:
    owner = killed(run_dir)
    stubborn = (
        "import signal, time\n"
        "for s in (signal.SIGTERM, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)\n"
        "print(1, flush=True); time.sleep(600)"
    )
    command, mark = [sys.executable, "-c", stubborn], owner.environment
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=mark) as process:
        assert process.stdout is not None
        process.stdout.readline()
        abandon(owner)
        with RunDirectory(run_dir) as successor:
            successor.acquire()
        wait_for(lambda: process.poll() is not None)
