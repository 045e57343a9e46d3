"""The report from a results file: complete, self-contained, and shown by a browser."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bench.measure import QUICK, Case, Round
from bench.report.features import FEATURES, feature_table
from bench.report.page import write_report
from bench.report.words import Difference, compare, paragraphs
from bench.results import Results
from bench.suites import BENCHES
from topologies.loader import load

PLANES = ("sriov", "ovs", "hybrid")
FACTOR = {"sriov": 1.2, "ovs": 0.5, "hybrid": 1.0}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A results file with every bench's figures, as a run on three planes leaves it."""
    found = Results(
        tmp_path_factory.mktemp("results") / "r.json", {"effort": "quick", "machine": "test"}
    )
    for bench in BENCHES.values():
        for case in bench.cases(PLANES, QUICK):
            factor = FACTOR[case.plane]
            figures = {figure.name: 10.0 * factor for figure in bench.figures}
            series = {
                "rtt_us": [10.0 * factor + i for i in range(50)],
                "gbps": [factor] * 30,
                "attack_s": [1.0, 2.0],
                "reports": [{"phases": [{"name": "switch", "milliseconds": 3.0 * factor}]}],
            }
            found.add(case, Round(figures, series))
    found.add(Case("policy", "sriov", "100 rules"), Round({}, {"refused": "no security groups"}))
    return found


@pytest.fixture(scope="module")
def page(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report written from it."""
    directory = tmp_path_factory.mktemp("report")
    path = directory / "report.html"
    write_report(results, load("two_servers").state(), path, directory / "images")
    return path


def test_every_bench_has_its_section_and_chart(page: Path):
    text = page.read_text(encoding="utf-8")
    for name in BENCHES:
        assert f"id={name}" in text
        assert re.search(rf'<img alt="{name}', text), f"no chart of {name}"
    assert len(list((page.parent / "images").glob("*.png"))) == text.count("<img ")


def test_the_page_is_self_contained(page: Path):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:)', text)


def test_each_plane_was_asked_for_each_feature():
    rows = feature_table(load("two_servers").state())
    assert len(rows) == len(FEATURES)
    assert all(row.answers["hybrid"] == "" for row in rows)
    assert any(row.answers["sriov"] for row in rows)
    assert any(row.answers["ovs"] for row in rows)


def test_words_tell_wins_and_losses(results: Results):
    found = compare(BENCHES, PLANES, QUICK, results)
    throughput = BENCHES["throughput"].figures[0]
    assert Difference("ovs", throughput, 2.0, ours=10.0, theirs=5.0) in found
    against_sriov = [d for d in found if (d.plane, d.figure) == ("sriov", throughput)]
    assert against_sriov
    assert all(d.factor == pytest.approx(1 / 1.2) and not d.wins for d in against_sriov)
    better, worse = paragraphs(found, feature_table(load("two_servers").state()))
    assert "Against Open vSwitch it is better in " in better
    assert "TCP throughput 2.0 times higher" in better
    assert f"accepts {len(FEATURES)} of the {len(FEATURES)} features" in better
    assert "Against the fixed-function SR-IOV card it is worse in " in worse
    assert "TCP throughput 1.2 times lower" in worse
    assert max(map(len, (better, worse))) < 1500, "plain means short"


def test_one_figure_is_told_once_for_all_conditions():
    p99 = BENCHES["latency"].figures[1]
    both = [Difference("ovs", p99, factor, ours=1.0, theirs=factor) for factor in (2.0, 3.0)]
    better, worse = paragraphs(both, feature_table(load("two_servers").state()))
    assert "in 2 of 2 comparisons" in better
    assert "round-trip time, p99 2.0 to 3.0 times lower." in better
    assert "in no comparison" in worse


def test_none_against_some_is_told_in_numbers():
    lost = next(f for f in BENCHES["migration"].figures if f.name == "lost")
    some = Difference("ovs", lost, math.inf, ours=0.0, theirs=628.0)
    broken = next(f for f in BENCHES["migration"].figures if f.name == "reordered")
    worse_in = Difference("ovs", broken, 0.0, ours=12.0, theirs=0.0)
    rows = feature_table(load("two_servers").state())
    better, worse = paragraphs([some, worse_in], rows)
    assert "probes lost by migrations 0 against 628." in better
    assert "probes reordered 12 against 0." in worse


def test_chromium_shows_the_charts(page: Path, tmp_path: Path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("chromium is not installed, and this distribution has no package of it")
    script = (
        "<script>document.title = [...document.images].filter("
        "i => i.complete && i.naturalWidth > 200).length + '/' + document.images.length</script>"
    )
    text = page.read_text(encoding="utf-8").replace("</html>", f"{script}</html>")
    page.write_text(text, encoding="utf-8")
    shown = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=90,
    )
    found = re.search(r"<title>(\d+)/(\d+)</title>", shown.stdout)
    assert found, shown.stderr[-500:]
    assert found[1] == found[2]
    assert int(found[2]) > len(BENCHES)
