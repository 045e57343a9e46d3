"""``python -m tests.differential [PROGRAM.p4 …]``: compare all pairings, one line each.

Without arguments the whole corpus is compared. Exit code 1 tells of differences, 2 that
the reference tools are missing.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.differential.harness import CORPUS, compare_pairings, why_not_run


def main(arguments: list[str]) -> int:
    """Compares the programs named, or the corpus; the exit code."""
    reason = why_not_run()
    if reason is not None:
        print(f"not run: {reason}")
        return 2
    programs = [Path(name) for name in arguments] or sorted(CORPUS.glob("*.p4"))
    failed = 0
    for program in programs:
        report = compare_pairings(program, program.with_suffix(".stf"))
        failed += bool(report.differences)
        print(f"{'differs' if report.differences else 'same   '} {report.program}", flush=True)
        for difference in report.differences:
            print("    " + difference.replace("\n", "\n    "))
    print(f"{len(programs) - failed} of {len(programs)} programs agree on all pairings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
