"""The results file: every round as it is measured, so that an interrupted run resumes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from bench.measure import Case, Round

FORMAT = 1


class ResultsError(Exception):
    """A results file that cannot be used; the text says why and what to do."""


class Results:
    """Rounds by case, saved after each one. Construct with ``open`` or ``load``."""

    def __init__(self, path: Path, context: dict[str, Any]) -> None:
        self.path = path
        self.context = context
        self._rounds: dict[str, list[dict[str, Any]]] = {}

    @classmethod
    def open(cls, path: Path, context: dict[str, Any], *, fresh: bool = False) -> Results:
        """Resume the file at ``path`` if it was measured in the same context, else begin anew.

        ``context`` (machine, versions, effort) is compared: figures of two machines are not mixed.
        """
        if path.exists() and not fresh:
            earlier = cls.load(path)
            if earlier.context == context:
                return earlier
        return cls(path, context)

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read a file. Raises ResultsError if it is missing or not a results file."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ResultsError(
                f"cannot read {path}: {error.strerror}; measure first: make bench-quick."
            ) from None
        except ValueError as error:
            raise ResultsError(
                f"{path} is not JSON ({error}); remove it and measure again."
            ) from None
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ResultsError(
                f"{path} is not a results file of format {FORMAT}; remove it and measure again."
            )
        results = cls(path, data["context"])
        results._rounds = data["rounds"]
        return results

    def add(self, case: Case, result: Round) -> None:
        """Record one round and save: the file is replaced whole, never half-written."""
        entry = {"figures": result.figures, "series": result.series}
        self._rounds.setdefault(case.key, []).append(entry)
        body = {"format": FORMAT, "context": self.context, "rounds": self._rounds}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(body, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(part, self.path)

    def count(self, case: Case) -> int:
        """Rounds measured of a case."""
        return len(self._rounds.get(case.key, []))

    def values(self, case: Case, figure: str) -> list[float]:
        """One figure of a case, by round; rounds that lack it are left out."""
        rounds = self._rounds.get(case.key, [])
        return [r["figures"][figure] for r in rounds if figure in r["figures"]]

    def series(self, case: Case, name: str) -> list[Any]:
        """One raw series of a case, by round."""
        rounds = self._rounds.get(case.key, [])
        return [r["series"][name] for r in rounds if name in r["series"]]

    def rounds(self) -> list[int]:
        """How many rounds each case has, in no order."""
        return [len(rounds) for rounds in self._rounds.values()]

    def cases(self) -> list[str]:
        """Cases that have rounds."""
        return sorted(self._rounds)
