"""Collects measured figures, prints them, and remembers whether a bound was violated."""

from __future__ import annotations


class Checks:
    def __init__(self) -> None:
        self._failures = 0

    def at_most(self, what: str, value: float, bound: float) -> None:
        self._report(f"{what}: {value:.2e} (at most {bound:.0e})", value <= bound)

    def equal(self, what: str, actual: object, expected: object) -> None:
        self._report(what, actual == expected)

    def note(self, text: str) -> None:
        """A figure without a bound."""
        print(f"      {text}")

    def exit_code(self) -> int:
        return min(self._failures, 1)

    def _report(self, text: str, is_met: bool) -> None:
        print(f"{'ok  ' if is_met else 'FAIL'}  {text}")
        self._failures += not is_met
