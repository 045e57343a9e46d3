"""Golden output of the frontend: `python tests/frontend/golden.py` rewrites it."""

from __future__ import annotations

from pathlib import Path

from p4native.frontend import parse_and_check
from p4native.frontend.diagnostics import Reporter

HERE = Path(__file__).resolve().parent
MUST_FAIL = HERE / "must_fail"
WARN = HERE / "warn"


def diagnostics(program: Path) -> tuple[bool, str]:
    """Whether a program is accepted and what is said of it, with paths made relative."""
    reporter = Reporter()
    accepted = parse_and_check(program, [], {}, reporter) is not None
    text = reporter.render().replace(f"{program.parent}/", "").replace(f"{program}", program.name)
    include = str(HERE.parents[1] / "p4native" / "p4include")
    return accepted, text.replace(include, "<include>")


def programs(folder: Path) -> list[Path]:
    """The programs under a folder, sorted."""
    return sorted(folder.rglob("*.p4"))


def update() -> None:
    """Rewrite every golden file."""
    for program in programs(MUST_FAIL) + programs(WARN):
        program.with_suffix(".txt").write_text(diagnostics(program)[1])


if __name__ == "__main__":
    update()
