"""What the terminal shows of a diagnosis."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from sweeper.curves import Finding, FindingKind
from sweeper.reports.diagnosis.terminal import continued, screen

from ..fakes import HOSTILE
from . import fakes


def shown(renderable: RenderableType, width: int = 100, *, colour: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=colour, color_system=None)
    console.print(renderable)
    return stream.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


def test_it_says_what_happened_why_and_what_to_do() -> None:
    text = flat(shown(screen(fakes.full())))
    order = (
        "The loss spiked at step 400",
        "spike 400 yes",
        "70% Rate too high",
        "1 contradicted, 1 untestable",
        "1. Lower the learning rate to a third",
        "LEARNING_RATE=3.3e-5 python train.py",
        "Expect: between 5.10 and 5.40",
        "Go back to step 300",
        "--out FOLDER; the study that tests the advice: --emit-study FILE",
    )
    assert sorted(order, key=text.index) == list(order)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_fits_the_terminal(width: int) -> None:
    lines = shown(screen(fakes.full(), [Path("out/report.html")]), width).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width


def test_a_command_too_long_for_the_screen_is_continued_as_a_shell_reads_it() -> None:
    test = replace(fakes.TEST, command="LEARNING_RATE=3.3e-5 BLOCK_SIZE=128 python train.py")
    lines = shown(screen(replace(fakes.full(), test=test)), 40).splitlines()
    place = next(i for i, line in enumerate(lines) if "LEARNING_RATE" in line)
    assert lines[place].rstrip() == "  LEARNING_RATE=3.3e-5 BLOCK_SIZE=128 \\"
    assert lines[place + 1].rstrip() == "  python train.py"


@pytest.mark.parametrize("width", [1, 10, 20, 30, 200])
@pytest.mark.parametrize(
    "line", ["A=1 B=2 python train.py", "sh -c 'a  b' \"x y\" z", "a\\ b c", "it's broken here"]
)
def test_a_continued_command_is_the_same_command(line: str, width: int) -> None:
    joined = "\n".join(continued(line, width)).replace(" \\\n", " ")
    assert joined == line


def test_files_that_were_made_are_named() -> None:
    text = shown(screen(fakes.full(), [Path("out/report.html"), Path("out/curve.png")]))
    assert text.endswith("Made:\n  out/report.html\n  out/curve.png\n")
    assert "--out" not in text


def test_a_healthy_run_needs_no_tables() -> None:
    text = shown(screen(fakes.healthy()))
    assert "The loss falls steadily." in text
    for absent in ("found", "Likely causes", "What to do first", "--emit-study"):
        assert absent not in text


def test_of_many_findings_the_weightiest_are_shown() -> None:
    spikes = tuple(Finding(FindingKind.SPIKE, s, s, s / 10, True, f"no. {s}") for s in range(30))
    calm = fakes.full()
    text = shown(screen(replace(calm, case=replace(calm.case, findings=spikes))))
    assert [line.split()[-1] for line in text.splitlines() if "no. " in line] == [
        str(step) for step in range(22, 30)
    ]
    assert "and 22 smaller" in text


def test_names_cannot_steer_the_terminal() -> None:
    text = shown(
        screen(fakes.hostile(HOSTILE + "[bold]y[/bold]"), [Path("a\x1b[2Jb")]), colour=True
    )
    for sequence in ("\x1b[31m", "\x1b[2J", "\u202e", "\x07"):
        assert sequence not in text
    assert "[bold]y[/bold]" in text


def test_without_colour_nothing_but_text_is_written() -> None:
    stream = io.StringIO()
    Console(file=stream, width=100, force_terminal=True, no_color=True).print(screen(fakes.full()))
    assert "\x1b[3" not in stream.getvalue()
