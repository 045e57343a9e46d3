"""Small parts of the lab and the controller, without a network."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from control.errors import ControlError
from control.events import QUEUE, EventBus
from control.store import Store
from topologies.loop import LoopThread
from topologies.toolchain import ROOT, compile_program


def test_the_store_keeps_documents_and_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = Store(path)
    store.save("a", {"x": 1})
    store.journal_put("vm1", {"phase": "prepare"})
    store.journal_put("vm2", {"phase": "switch"})
    store.journal_put("vm1", {"phase": "release"})
    store.journal_drop("vm2")
    store.close()
    again = Store(path)
    assert again.load("a") == {"x": 1}
    assert again.load("b") is None
    assert again.journal() == {"vm1": {"phase": "release"}}
    again.close()


def test_a_broken_state_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(ControlError, match=r"cannot open the state file .*state\.db"):
        Store(path)


async def test_events_reach_subscribers_and_a_slow_one_loses_the_oldest() -> None:
    bus = EventBus()
    with bus.subscribe() as queue:
        for number in range(QUEUE + 3):
            bus.emit("lab", "test", str(number))
        assert queue.qsize() == QUEUE
        assert (await queue.get()).text == "3"
    bus.emit("lab", "test", "last")
    assert queue.qsize() == QUEUE - 1
    assert bus.recent[-1].line().endswith("lab       test: last")


def test_a_loop_thread_runs_work_raises_its_errors_and_stops() -> None:
    thread = LoopThread("test")

    async def answer() -> int:
        return 42

    async def fail() -> None:
        raise ControlError("no")

    assert thread.run(answer()) == 42
    with pytest.raises(ControlError, match="no"):
        thread.run(fail())
    thread.loop.call_soon_threadsafe(lambda: asyncio.ensure_future(asyncio.sleep(600)))
    thread.stop()
    assert thread.loop.is_closed()


def test_a_program_is_compiled_once_per_content(tmp_path: Path) -> None:
    source = tmp_path / "p4src" / "tiny.p4"
    corpus = ROOT / "tests" / "corpus"
    shutil.copytree(corpus / "include", source.parent / "include")
    text = (corpus / "functions.p4").read_text(encoding="utf-8")
    source.write_text(text, encoding="utf-8")
    program = compile_program(source, "native", tmp_path / "build")
    made = program.json.stat().st_mtime_ns
    assert program.p4info.exists()
    assert compile_program(source, "native", tmp_path / "build") == program
    assert program.json.stat().st_mtime_ns == made
    for changed in (source, source.parent / "include" / "probe.p4"):
        changed.write_text(changed.read_text(encoding="utf-8") + "// changed\n", encoding="utf-8")
        compile_program(source, "native", tmp_path / "build")
        assert program.json.stat().st_mtime_ns > made
        made = program.json.stat().st_mtime_ns
    assert sorted(path.suffix for path in (tmp_path / "build").iterdir()) == [
        ".json",
        ".stamp",
        ".txtpb",
    ]


def test_a_failed_compilation_leaves_no_stamp(tmp_path: Path) -> None:
    source = tmp_path / "bad.p4"
    source.write_text("#include <v1model.p4>\ncontrol c(in nonsense_t x) { apply {} }\n")
    for _ in range(2):
        with pytest.raises(ControlError, match=r"(?s)bad\.p4:2:\d+.*nonsense_t"):
            compile_program(source, "native", tmp_path / "build")


def test_control_never_imports_mininet() -> None:
    code = (
        "import control.service, control.api, control.cli, sys; assert 'mininet' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
