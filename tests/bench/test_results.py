"""The results file: saved after each round, resumed in the same context only."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from bench.engines import debug_builds
from bench.measure import FULL, QUICK, Bench, Case, Figure, Round, fixed
from bench.results import Results, ResultsError
from bench.run import context, lessened, pending, run
from control.migration.record import Options
from topologies.lab import Lab

CONTEXT = {"effort": "quick", "machine": "here"}


def a_bench(name: str = "b") -> Bench:
    return Bench(
        name, "a bench", (Figure("x", "time", "s"),), fixed("c1", "c2"), lambda *_: Round({})
    )


def test_rounds_come_back(tmp_path: Path):
    path = tmp_path / "r.json"
    case = Case("b", "hybrid", "c1")
    Results(path, CONTEXT).add(case, Round({"x": 1.5}, {"raw": [1, 2]}))
    again = Results.open(path, CONTEXT)
    again.add(case, Round({"x": 2.5}))
    loaded = Results.load(path)
    assert loaded.values(case, "x") == [1.5, 2.5]
    assert loaded.series(case, "raw") == [[1, 2]]
    assert loaded.cases() == ["b/hybrid/c1"]


def test_another_machine_begins_anew(tmp_path: Path):
    path = tmp_path / "r.json"
    case = Case("b", "hybrid", "c1")
    Results(path, CONTEXT).add(case, Round({"x": 1.0}))
    assert Results.open(path, {**CONTEXT, "machine": "there"}).count(case) == 0
    assert Results.open(path, CONTEXT, fresh=True).count(case) == 0


@pytest.mark.parametrize(
    ("text", "words"), [("{", "not JSON"), ("{}", "not a results file"), ("[1]", "not a results")]
)
def test_a_broken_file_is_an_error(tmp_path: Path, text: str, words: str):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(ResultsError, match=words):
        Results.load(path)


def test_a_missing_file_says_what_to_do(tmp_path: Path):
    with pytest.raises(ResultsError, match="make bench-quick"):
        Results.load(tmp_path / "none.json")


def test_pending_interleaves_planes_and_resumes(tmp_path: Path):
    results = Results(tmp_path / "r.json", CONTEXT)
    planes = ("hybrid", "ovs")
    keys = [case.key for case in pending([a_bench()], planes, QUICK, results)]
    assert keys == ["b/hybrid/c1", "b/ovs/c1", "b/hybrid/c2", "b/ovs/c2"]
    results.add(Case("b", "hybrid", "c1"), Round({"x": 1.0}))
    assert [c.key for c in pending([a_bench()], planes, QUICK, results)] == keys[1:]


def test_a_run_out_of_time_leaves_second_rounds_to_the_next(tmp_path: Path):
    results = Results(tmp_path / "r.json", CONTEXT)
    labs = {"hybrid": cast(Lab, None)}  # the bench below does not look at it
    late = time.monotonic() - 1
    run({"b": a_bench()}, labs, FULL, results, lambda *_: None, until=late)
    left = pending([a_bench()], ("hybrid",), FULL, results)
    assert [case.key for case in left] == ["b/hybrid/c1", "b/hybrid/c2"]
    run({"b": a_bench()}, labs, FULL, results, lambda *_: None)
    assert pending([a_bench()], ("hybrid",), FULL, results) == []


def test_a_quick_run_measures_what_is_spare_last_and_if_it_has_time(tmp_path: Path):
    results = Results(tmp_path / "r.json", CONTEXT)
    labs = dict.fromkeys(("hybrid", "hybrid-vf"), cast(Lab, None))
    benches = {
        "b": replace(a_bench(), spare=("c1",)),
        "moves": replace(a_bench("moves"), variants=("hybrid-vf",)),
    }
    needed = ["b/hybrid/c2", "moves/hybrid/c1", "moves/hybrid/c2"]
    spare = ["b/hybrid/c1", "moves/hybrid-vf/c1", "moves/hybrid-vf/c2"]
    todo = pending(list(benches.values()), tuple(labs), QUICK, results)
    assert [case.key for case in todo] == [*needed, *spare]
    run(benches, labs, QUICK, results, lambda *_: None, until=time.monotonic() - 1)
    assert results.cases() == needed
    run(benches, labs, QUICK, results, lambda *_: None)
    assert pending(list(benches.values()), tuple(labs), QUICK, results) == []
    assert pending([benches["b"]], ("hybrid",), FULL, results)[0].key == "b/hybrid/c1"


def test_a_costly_bench_is_measured_once(tmp_path: Path):
    results = Results(tmp_path / "r.json", CONTEXT)
    costly = replace(a_bench("long"), costly=True)
    keys = [case.bench for case in pending([a_bench(), costly], ("hybrid",), FULL, results)]
    assert keys.count("b") == 2 * FULL.rounds
    assert keys.count("long") == 2


def test_a_quick_run_may_have_fewer_conditions():
    conditions = fixed("one", "two", quick=("one",))
    assert conditions(QUICK) == ("one",)
    assert conditions(FULL) == fixed("one", "two")(QUICK)


def test_a_quick_run_tells_what_it_has_less_of():
    what = "memory of guests that move, and what they change"
    told = {what: "4 MiB, 1 MiB/s (full run: 64 MiB, 8 MiB/s)"}
    assert lessened(QUICK) == told
    assert told.items() <= context(QUICK).items()
    assert lessened(FULL) == {}
    usual = Options()  # what `lab migrate` takes, too
    assert (FULL.memory_mib, FULL.dirty_mib_s) == (usual.memory_mib, usual.dirty_mib_s)


def test_debug_builds_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("P4NATIVE_SANITIZE", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    switch = tmp_path / "simple_switch_grpc"
    switch.write_bytes(b"#!/bin/true")
    switch.chmod(0o755)
    assert debug_builds() == []
    switch.write_bytes(b"#!/bin/true Processing packet received on port {}")
    monkeypatch.setenv("P4NATIVE_SANITIZE", "address")
    native, bmv2 = debug_builds()
    assert "address sanitizer" in native
    assert str(switch) in bmv2
