"""Checks measured values against bounds, prints the results, and provides an exit code."""

from __future__ import annotations


class Checks:
    """Prints one line per check: `ok` or `FAIL`, then what was checked."""

    def __init__(self) -> None:
        self._failures = 0

    def at_most(self, label: str, value: float, bound: float) -> None:
        """Checks that value <= bound."""
        self._report(f"{label}: {value:.2e} (at most {bound:.0e})", value <= bound)

    def equal(self, label: str, actual: object, expected: object) -> None:
        self._report(label, actual == expected)

    def note(self, text: str) -> None:
        """Prints a value that has no bound."""
        print(f"      {text}")

    def exit_code(self) -> int:
        """Returns 1 if a check failed, otherwise 0."""
        return min(self._failures, 1)

    def _report(self, text: str, is_met: bool) -> None:
        print(f"{'ok  ' if is_met else 'FAIL'}  {text}")
        self._failures += not is_met
