"""The results file: saved after each round, resumed in the same context only."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.measure import QUICK, Bench, Case, Figure, Round, fixed
from bench.results import Results, ResultsError
from bench.run import pending

CONTEXT = {"effort": "quick", "machine": "here"}


def a_bench(name: str = "b") -> Bench:
    return Bench(name, "a bench", (Figure("x", "s"),), fixed("c1", "c2"), lambda *_: Round({}))


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
