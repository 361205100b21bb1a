"""A diagnosis on a screen: what happened, why, what to do first, and where the rest lies.

Every text from outside enters as `rich.text.Text` after `words.clean`, so that neither
rich's markup nor an escape sequence in a name takes effect.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis.cause import Cause, Verdict
from sweeper.diagnosis.diagnosis import Diagnosis, ProposedTest, Recommendation
from sweeper.reports import words
from sweeper.reports.diagnosis import phrases
from sweeper.reports.diagnosis.reasoning import interval_words

_SHELL_WORD = re.compile(r"(?:[^\s'\"\\]|\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\")+")
_MOST_FINDINGS = 8
_MOST_CAUSES = 4
_MOST_FIXES = 3
_LONGEST = 240  # characters of evidence or reason; the report has them whole
KIND_STYLES = {
    FindingKind.SPIKE: "red",
    FindingKind.DIVERGENCE: "red",
    FindingKind.NON_FINITE: "bold red",
    FindingKind.PLATEAU: "yellow",
    FindingKind.OVERFIT: "magenta",
    FindingKind.THROUGHPUT_DROP: "yellow",
    FindingKind.NEVER_LEARNED: "red",
    FindingKind.WEIGHTS_NOT_UPDATING: "red",
    FindingKind.EVAL_NOT_TRACKING: "yellow",
}


def screen(diagnosis: Diagnosis, made: Sequence[Path] = ()) -> RenderableType:
    """The short form of a report.

    Args:
        diagnosis: What to say.
        made: Files that hold the long form, as they should be shown.
    """
    parts: list[RenderableType] = [*_head(diagnosis)]
    if diagnosis.case.findings:
        parts.append(_findings(diagnosis.case.findings))
    if diagnosis.causes:
        parts += _causes(diagnosis.causes)
    if diagnosis.recommendations:
        parts += _fixes(diagnosis.recommendations)
    if diagnosis.test is not None:
        parts += _test(diagnosis.test)
    if diagnosis.last_good_step is not None:
        parts += ["", _last_good(diagnosis)]
    return Group(*parts, "", *_ending(diagnosis, made))


def _head(diagnosis: Diagnosis) -> list[RenderableType]:
    first, *rest = [words.clean(sentence) for sentence in diagnosis.summary] or ["No summary."]
    log = diagnosis.case.log
    about = f"{words.clean(log.format, 60)}, {words.plural(len(log.curve), 'point')}"
    name = phrases.source_words(diagnosis)
    head: list[RenderableType] = [Text.assemble((name, "bold"), (f"  {about}", "dim")), ""]
    head.append(Text(first, style="bold"))
    if rest:
        head.append(Text(" ".join(rest)))
    return [*head, ""]


def _title(text: str) -> Text:
    return Text(text, style="bold cyan")


def _findings(findings: Sequence[Finding]) -> RenderableType:
    """The findings, those that weigh the most if there are many, in the order of their steps."""
    weightiest = sorted(findings, key=lambda finding: -finding.severity)[:_MOST_FINDINGS]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("found", no_wrap=True)
    table.add_column("step", no_wrap=True)
    table.add_column("recovered", no_wrap=True)
    table.add_column("evidence", overflow="fold")
    for finding in findings:
        if finding in weightiest:
            table.add_row(
                Text(phrases.kind_words(finding.kind), style=KIND_STYLES[finding.kind]),
                Text(phrases.steps_words(finding.start_step, finding.end_step).split(" ", 1)[1]),
                Text(phrases.recovered_words(finding)),
                Text(words.clean(finding.evidence, 240)),
            )
    hidden = len(findings) - len(weightiest)
    if hidden <= 0:
        return table
    return Group(table, Text(f"and {hidden:,} smaller", style="dim"), "")


def _causes(causes: Sequence[Cause]) -> list[RenderableType]:
    supported = [cause for cause in causes if cause.verdict is Verdict.SUPPORTED]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for cause in supported[:_MOST_CAUSES]:
        evidence = phrases.opening_sentences(" ".join(cause.decision.evidence[:1]), _LONGEST)
        table.add_row(
            Text(phrases.confidence_words(cause.confidence), style="bold"),
            Text.assemble((words.clean(cause.rule.title), "bold"), (f"\n{evidence}", "dim")),
        )
    return [
        _title("Likely causes, and how sure that is"),
        Padding(table if supported else Text("None is supported by what was given."), (0, 2)),
        Padding(Text(_other_causes(causes, supported), style="dim"), (0, 2)),
    ]


def _other_causes(causes: Sequence[Cause], supported: Sequence[Cause]) -> str:
    amounts = {
        "more supported": len(supported) - _MOST_CAUSES,
        "contradicted": sum(cause.verdict is Verdict.CONTRADICTED for cause in causes),
        "untestable with what was given": sum(
            cause.verdict is Verdict.UNTESTABLE for cause in causes
        ),
    }
    return ", ".join(f"{amount} {name}" for name, amount in amounts.items() if amount > 0)


def _fixes(items: Sequence[Recommendation]) -> list[RenderableType]:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for item in items[:_MOST_FIXES]:
        reason = phrases.opening_sentences(item.advice.reason, _LONGEST)
        table.add_row(
            Text(f"{item.priority}.", style="bold"),
            Text.assemble((words.clean(item.advice.title), "bold"), (f"\n{reason}", "dim")),
        )
    return ["", _title("What to do first"), Padding(table, (0, 2))]


def _test(test: ProposedTest) -> list[RenderableType]:
    expected = words.clean(test.expected) or interval_words(test)
    return [
        "",
        _title("The run that tests it"),
        Padding(_Command(words.clean_code(test.command)), (0, 0, 0, 2)),
        Padding(Text(f"Expect: {expected}"), (0, 2)),
    ]


@dataclass(frozen=True)
class _Command:
    """A command that can be copied: where it is too long for a line, a backslash continues it."""

    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.text.splitlines():
            for part in continued(line, options.max_width):
                yield Text(part, no_wrap=True, overflow="fold")


def continued(line: str, width: int) -> list[str]:
    """A shell's line in several, none wider than `width` unless a single word is."""
    found = _SHELL_WORD.findall(line)
    if len(line) <= width or " ".join(found) != line:
        return [line]
    parts = [found[0]]
    for word in found[1:]:
        if len(parts[-1]) + 1 + len(word) + 2 <= width:
            parts[-1] += f" {word}"
        else:
            parts[-1] += " \\"
            parts.append(word)
    return parts


def _last_good(diagnosis: Diagnosis) -> Text:
    reason = words.clean(diagnosis.last_good_reason)
    return Text.assemble(
        ("Go back to ", ""),
        (f"step {diagnosis.last_good_step}", "bold green"),
        (f": {reason}" if reason else "", ""),
    )


def _ending(diagnosis: Diagnosis, made: Sequence[Path]) -> list[RenderableType]:
    """Where the rest lies, or how to get it."""
    if made:
        paths = [Text(f"  {words.clean(path)}", no_wrap=True, overflow="fold") for path in made]
        return [Text("Made:"), *paths]
    hint = "The whole report, with every cause and its evidence: add --out FOLDER"
    if diagnosis.recommendations:
        hint += "; the study that tests the advice: --emit-study FILE"
    return [Text(hint, style="dim")]
