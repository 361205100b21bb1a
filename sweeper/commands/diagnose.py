"""The command `sweeper diagnose`: parse, call, print. Results go to stdout, the rest to stderr."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.errors import LogError, UsageError

if TYPE_CHECKING:  # this module is read for every command, and most need none of these
    from sweeper.diagnosis.case import Case
    from sweeper.diagnosis.diagnosis import Diagnosis
    from sweeper.diagnosis.gather import Request
    from sweeper.logs import LogOptions

STDIN = Path("-")


def diagnose(
    log: Annotated[
        Path | None,
        typer.Argument(
            metavar="LOG", help="The log, or a folder that holds one; - or nothing: stdin."
        ),
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|KEY=VALUE",
            help="How the run was set up: a YAML or JSON file, or one value; repeatable.",
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="PATH", help="The training text.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="PATH", help="The base: a folder, or a cached hub name.")
    ] = None,
    checkpoints: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Checkpoints; only names are read.")
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(help="How you start a run, such as 'python training.py'."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="csv, jsonl, trainer-state, tensorboard or text; guessed if not given.",
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="ROLE=NAME",
            help="What a column is, such as train_loss=loss/train; repeatable.",
        ),
    ] = None,
    units: Annotated[
        list[str] | None,
        typer.Option(
            "--unit", metavar="ROLE=UNIT", help="A unit, such as step_seconds=ms; repeatable."
        ),
    ] = None,
    time: Annotated[
        str | None, typer.Option(metavar="per-step|cumulative", help="What the log's times are.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Groups step, train_loss, ... of a line of the log."),
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Which run of several in the log: name, or place from 1.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write report.html, report.md, diagnosis.json and curve.png."
        ),
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option("--emit-study", metavar="FILE", help="Write the study that tests the advice."),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Watch a growing log and tell when something happens, until Ctrl-C or the end of "
            "stdin; both end it well, with exit code 0.",
        ),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 1 if anything was found.")
    ] = False,
) -> None:
    """Read a training log: what happened, why, and what to try."""
    from sweeper.diagnosis.gather import Request

    options = _options(format, columns or [], units or [], time, pattern, run)
    request = Request(
        log=_log_path(log),
        options=options,
        config=tuple(config or ()),
        data=data,
        model=model,
        checkpoints=checkpoints,
    )
    case = _watch(request, as_json=as_json) if follow else _gather(request)
    _conclude(case, request, command, out=out, study=study, as_json=as_json, is_line=follow)
    if strict and case.findings:
        raise typer.Exit(1)


def _log_path(log: Path | None) -> Path | None:
    """The log's path, or None for standard input, which must not be a keyboard."""
    if log is not None and log != STDIN:
        return log
    if sys.stdin.isatty():
        raise UsageError(
            "no log was given: name one (sweeper diagnose run.log), or pipe one in "
            "(python training.py | sweeper diagnose --follow)"
        )
    return None


def _options(
    format: str | None,
    columns: Sequence[str],
    units: Sequence[str],
    time: str | None,
    pattern: str | None,
    run: str | None,
) -> LogOptions:
    """What the flags say about the log.

    Raises:
        UsageError: A flag that no log could satisfy.
    """
    from sweeper.logs import FORMATS, LiveReader, LogOptions

    if format is not None and format not in FORMATS:
        raise UsageError(f"--format {format}: no such format (allowed: {', '.join(FORMATS)})")
    options = LogOptions(
        format=format,
        columns=_pairs("--column", columns),
        units=_pairs("--unit", units),
        time=time,
        pattern=pattern,
        run=run,
    )
    try:
        LiveReader(options)  # it refuses what is wrong with every log, before one is waited for
    except LogError as error:
        raise UsageError(str(error)) from error
    return options


def _pairs(flag: str, texts: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        role, equals, value = text.partition("=")
        if not (role and equals and value):
            raise UsageError(f"{flag} {text}: needs ROLE=VALUE, such as {_EXAMPLES[flag]}")
        pairs[role] = value
    return pairs


_EXAMPLES = {"--column": "train_loss=loss/train", "--unit": "step_seconds=ms"}


def _gather(request: Request, content: bytes | None = None) -> Case:
    from sweeper.diagnosis.gather import gather

    stdin = sys.stdin.buffer if content is None else io.BytesIO(content)
    return gather(request, stdin=stdin)


def _watch(request: Request, *, as_json: bool) -> Case:
    """Follow the log to its end; then read it once more with all that was given."""
    from dataclasses import replace

    from rich.console import Console

    from sweeper.diagnosis.follow import GrowingFile, GrowingStream, follow
    from sweeper.reports.diagnosis.live import FollowView, JsonFollowView

    stream = GrowingStream(sys.stdin.fileno()) if request.log is None else None
    light = replace(request, data=None, model=None)  # only the findings are looked for

    def read() -> Case:
        return _gather(light, None if stream is None else stream.content)

    notices = Console(stderr=True)
    view = JsonFollowView(sys.stdout, notices) if as_json else FollowView(Console(), notices)
    source = stream if request.log is None else GrowingFile(request.log)
    assert source is not None
    with view:
        case = follow(source, read, view.tell)
    if case is None:
        name = "stdin" if request.log is None else request.log
        raise LogError(f"{name}: nothing could be read as a log while it was watched")
    if request.data is None and request.model is None:
        return case
    return _gather(request, None if stream is None else stream.content)


def _conclude(
    case: Case,
    request: Request,
    command: str | None,
    *,
    out: Path | None,
    study: Path | None,
    as_json: bool,
    is_line: bool,
) -> None:
    """Judge the case, write what was asked for, and show it."""
    from sweeper.diagnosis.diagnose import diagnose as judge

    diagnosis = judge(case, command=command)
    made: list[Path] = []
    if out is not None:
        from sweeper.reports.diagnosis.report import write_report

        made += write_report(diagnosis, out).all
    notes = []
    if study is not None:
        from sweeper.diagnosis.emission import emit_study
        from sweeper.reports.words import clean, plural, shell_word

        emission = emit_study(diagnosis, study, request, command)
        made.append(emission.path)
        notes.append(
            f"{clean(study)}: a study of {plural(emission.num_trials, 'trial')}; run it with: "
            f"sweeper run {shell_word(str(study))}"
        )
    _show(diagnosis, made, as_json, is_line)
    for note in notes:
        print(note, file=sys.stderr)


def _show(diagnosis: Diagnosis, made: Sequence[Path], as_json: bool, is_line: bool) -> None:
    """JSON if asked for; a screen for a person; the whole report for a pipe."""
    if as_json:
        from sweeper.reports.diagnosis.record import diagnosis_json, diagnosis_line

        sys.stdout.write(diagnosis_line(diagnosis) if is_line else diagnosis_json(diagnosis))
        return
    if sys.stdout.isatty() or is_line:
        from rich.console import Console

        from sweeper.reports.diagnosis.terminal import screen

        Console().print(screen(diagnosis, made))
        return
    from sweeper.reports.diagnosis.report import markdown_report

    typer.echo(markdown_report(diagnosis).encode(), nl=False)  # as the file, whatever the locale
