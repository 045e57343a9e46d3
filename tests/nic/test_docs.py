"""docs/nic.md and the controller's numbers agree with the P4 program."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from finsy.proto import p4i
from google.protobuf import text_format

from control.policy.reasons import DropReason, PuntReason, label, slow_path_label
from p4native import compiler

from .conftest import SOURCE, compile_program

DOCS = Path(__file__).parents[2] / "docs" / "nic.md"
ROW = re.compile(r"^\| `(\w+_table)` \|[^|]*\| (\d+)(?: \((\d+)\))? \|", re.MULTILINE)


def _sizes(info: Path) -> dict[str, int]:
    parsed = text_format.Parse(info.read_text(), p4i.P4Info())
    return {table.preamble.alias: table.size for table in parsed.tables}


def test_every_table_is_documented_with_its_size(hybrid: tuple[Path, Path], tmp_path: Path) -> None:
    documented = {name: (big, small or big) for name, big, small in ROW.findall(DOCS.read_text())}
    small, _ = compile_program("hybrid_nic", tmp_path, "SMALL_NIC")
    sizes, small_sizes = _sizes(hybrid[0]), _sizes(small)
    assert documented == {name: (str(size), str(small_sizes[name])) for name, size in sizes.items()}


def test_the_changes_of_the_tutorial_compile(tmp_path: Path) -> None:
    shutil.copytree(SOURCE, tmp_path / "p4src")
    program = tmp_path / "p4src" / "hybrid_nic.p4"
    blocks = re.findall(
        r"```p4\n(.*?)```", (DOCS.parent / "first-change.md").read_text(), re.DOTALL
    )
    text = program.read_text()
    for block in blocks:
        declares = block.lstrip().startswith("counter")
        place = "    apply {\n        if (hdr.packet_out" if declares else "        verdict.apply("
        assert text.count(place) == 1
        text = text.replace(place, block + place)
    program.write_text(text)
    result = compiler.compile_program(program)
    assert len(blocks) == 3
    assert "quiet_table" in result.p4info_text and not result.diagnostics


def test_reasons_have_the_numbers_of_the_program() -> None:
    text = (SOURCE / "include" / "reasons.p4").read_text()
    found = {
        (kind, name): int(number)
        for kind, name, number in re.findall(r"reason_t (DROP|PUNT)_(\w+) = (\d+);", text)
        if name != "NONE"
    }
    drops = {("DROP", reason.name): reason.value for reason in DropReason}
    punts = {("PUNT", reason.name): reason.value for reason in PuntReason}
    assert found == drops | punts
    assert all(label(reason) for reason in DropReason)
    assert all(slow_path_label(reason) for reason in PuntReason)


def test_every_table_and_action_has_an_id_of_its_own(hybrid: tuple[Path, Path]) -> None:
    parsed = text_format.Parse(hybrid[0].read_text(), p4i.P4Info())
    source = "".join(path.read_text() for path in SOURCE.rglob("*.p4"))
    for thing in (*parsed.tables, *parsed.actions, *parsed.counters, *parsed.meters):
        if thing.preamble.alias != "NoAction":
            assert f"0x{thing.preamble.id:08x}" in source, thing.preamble.alias
