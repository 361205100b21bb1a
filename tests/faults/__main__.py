"""`make faults`: lets every fault happen often, and says in a table what held.

Exit code 0 if all of it held; 1 if anything did not, or could not be tried on this machine.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import pytest
from rich.console import Console
from rich.table import Table

from sweeper.reports.words import ABSENT
from tests.faults.tally import Tally

_PLACES = ("tests/faults", "tests/security")


@dataclass
class Summary:
    """A plugin of pytest that keeps how each test went.

    Attributes:
        reports: Of each test that ran, or could not.
    """

    reports: list[pytest.TestReport] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest after each phase of a test."""
        if report.when == "call" or report.outcome != "passed":
            self.reports.append(report)

    @property
    def all_held(self) -> bool:
        """Whether every test ran and passed."""
        return all(report.outcome == "passed" for report in self.reports)

    def table(self) -> Table:
        """A row for each fault, and one for the attacks on names, files and secrets."""
        table = Table(title="Faults", title_justify="left")
        table.add_column("what happened", overflow="fold")
        for heading in ("times", "studies", "completed", "other ends", "seconds"):
            table.add_column(heading, justify="right")
        table.add_column("held")
        for report in self.reports:
            if tally := _tally(report):
                table.add_row(*_cells(report, tally))
            elif "often" in report.nodeid:
                table.add_row(
                    _name(report), *[ABSENT] * 4, f"{report.duration:.0f}", _verdict(report)
                )
        others = [report for report in self.reports if "often" not in report.nodeid]
        if others:
            failed = [report for report in others if report.outcome != "passed"]
            seconds = f"{sum(report.duration for report in others):.0f}"
            verdict = _verdict(failed[0]) if failed else "yes"
            name = "malicious pickles, names, secrets; the quick part"
            table.add_row(name, str(len(others)), *[ABSENT] * 3, seconds, verdict)
        return table


def _cells(report: pytest.TestReport, tally: Tally) -> tuple[str, ...]:
    completed = tally.trials["complete"]
    others = tally.trials.total() - completed
    counts = (tally.strikes, tally.studies, completed, others)
    return _name(report), *map(str, counts), f"{report.duration:.0f}", _verdict(report)


def _tally(report: pytest.TestReport) -> Tally | None:
    return next((value for key, value in report.user_properties if key == "tally"), None)


def _name(report: pytest.TestReport) -> str:
    return report.nodeid.partition("[")[2].removesuffix("]")


def _verdict(report: pytest.TestReport) -> str:
    if report.outcome == "skipped":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "skipped"
        return f"not tried: {reason.removeprefix('Skipped: ')}"
    return "yes" if report.outcome == "passed" else "NO"


def main() -> int:
    """Run the suite, print the table, and say by the exit code whether all held."""
    summary = Summary()
    code = pytest.main(["-q", "-m", "long or not long", *_PLACES, *sys.argv[1:]], [summary])
    Console().print(summary.table())
    return 0 if code == pytest.ExitCode.OK and summary.all_held else 1


if __name__ == "__main__":
    sys.exit(main())
