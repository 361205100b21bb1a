"""Gathers all that a diagnosis may look at: the log, its findings, and what else was given."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from sweeper.curves import Curve, Finding, FindingKind
from sweeper.curves.detection import detect
from sweeper.diagnosis.case import Case, CorpusFacts, ModelFacts, RunConfig
from sweeper.diagnosis.checkpoints import FoundCheckpoints, find_checkpoints
from sweeper.diagnosis.config import merge_config, settings_of_log, settings_of_model
from sweeper.diagnosis.config_files import Source, read_source
from sweeper.diagnosis.places import CURVE, MANIFEST, trial_folder
from sweeper.diagnosis.rate import warmup_end
from sweeper.errors import BaseError, DataError
from sweeper.logs import Log, LogOptions, read_log

if TYPE_CHECKING:  # what reads a corpus or a base costs time that most logs can save
    from sweeper.diagnosis.trial import Trial

_MOST_EVENTS = 40
_JUMPS = (FindingKind.SPIKE, FindingKind.DIVERGENCE, FindingKind.NON_FINITE)


@dataclass(frozen=True)
class Request:
    """What the person at the terminal gave.

    Attributes:
        log: A log, or a folder that holds one; None: standard input.
        options: What they know of the log better than any guess.
        config: Each a file, or `KEY=VALUE`; later ones win.
        data: The training text, as `sweeper.data.read_corpus` takes it.
        model: The base: a directory, an embedded one, or a hub name that is in the cache.
        checkpoints: A folder of checkpoints, of which only the names are read.
    """

    log: Path | None
    options: LogOptions = field(default_factory=LogOptions)
    config: tuple[str, ...] = ()
    data: str | None = None
    model: str | None = None
    checkpoints: Path | None = None


def gather(request: Request, *, stdin: BinaryIO | None = None) -> Case:
    """Read everything that was given, and run the detectors.

    Args:
        request: What to read; relative paths are seen from the working folder.
        stdin: Where a log comes from if the request names none.

    Raises:
        LogError: The log cannot be read.
        UsageError: The configuration or the folder of checkpoints cannot be understood.
        DataError: The corpus cannot be read.
        BaseError: The model cannot be read.
        CheckpointError: The log is that of a run of ours, whose manifest is damaged.
    """
    own_folder = trial_folder(request.log)
    log = read_log(own_folder / CURVE if own_folder else request.log, request.options, stdin=stdin)
    return gather_about(log, request)


def gather_about(log: Log, request: Request) -> Case:
    """The case of a log that has been read already, such as a growing one.

    Args:
        log: The log.
        request: The rest of what was given; its log says whether that is a run of ours.

    Raises:
        SweeperError: As `gather`, but for a log that cannot be read.
    """
    own_folder = trial_folder(request.log)
    given = [read_source(text) for text in request.config]
    named = _named(request, own_folder, given)
    notes: list[str] = []
    model = _model_facts(named, notes)
    config = merge_config(_sources(log, model, named, own_folder, given), log)
    found = find_checkpoints(request.checkpoints) if request.checkpoints else FoundCheckpoints(())
    config = _with_save_steps(config, found)
    findings = detect(log.curve, warmup_steps=warmup_end(config))
    events = event_steps(log.curve, findings)
    trial = _trial(own_folder)
    corpus = _corpus_facts(request, named, trial, config, events, notes)
    if found.without_step:
        notes.append(f"checkpoints that tell no step: {', '.join(found.without_step)}")
    return Case(
        log=log,
        findings=findings,
        config=config,
        corpus=corpus,
        model=model,
        is_trial=trial is not None,
        checkpoint_steps=found.steps,
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Named:
    """Base and corpus, and who named them: what a file mentions may have gone since.

    Attributes:
        model: The base; None where nobody names one.
        model_folder: What it is relative to.
        is_model_given: Whether the user asked for it.
        data: A corpus that a configuration mentions.
        data_folder: What that is relative to.
    """

    model: str | None
    model_folder: Path
    is_model_given: bool
    data: str | None
    data_folder: Path


def _named(request: Request, own_folder: Path | None, given: Sequence[Source]) -> _Named:
    sources = [*([read_source(str(own_folder / MANIFEST))] if own_folder else []), *given]
    model = next((source for source in reversed(sources) if source.model), Source("", ()))
    data = next((source for source in reversed(sources) if source.data), Source("", ()))
    is_given = request.model is not None
    return _Named(
        request.model if is_given else model.model,
        Path() if is_given else model.folder,
        is_given,
        data.data,
        data.folder,
    )


def _trial(own_folder: Path | None) -> Trial | None:
    """The run of ours, if its data was ours too."""
    if own_folder is None:
        return None
    from sweeper.diagnosis.trial import read_trial

    return read_trial(own_folder)


def _model_facts(named: _Named, notes: list[str]) -> ModelFacts | None:
    if named.model is None:
        return None
    from sweeper.diagnosis.model import read_model_facts  # here and below: most logs come alone

    try:
        return read_model_facts(named.model, named.model_folder)
    except BaseError as error:
        if named.is_model_given:
            raise
        notes.append(f"the configuration's model was left out: {error}")
        return None


def _sources(
    log: Log,
    model: ModelFacts | None,
    named: _Named,
    own_folder: Path | None,
    given: Sequence[Source],
) -> Iterator[Source]:
    """All that says something about the set-up; later ones win."""
    yield settings_of_log(log)
    if model is not None:
        yield settings_of_model(model, named.model_folder)
    if own_folder is not None:
        yield read_source(str(own_folder / MANIFEST))
    yield from given


def _with_save_steps(config: RunConfig, found: FoundCheckpoints) -> RunConfig:
    """The distance of checkpoints, where all of them have the same."""
    distances = {b - a for a, b in pairwise(sorted({step for step, _ in found.steps}))}
    if len(distances) != 1 or config.is_known("save_steps"):
        return config
    return replace(
        config,
        values={**config.values, "save_steps": distances.pop()},
        origins={**config.origins, "save_steps": "checkpoint names"},
    )


def event_steps(curve: Curve, findings: Sequence[Finding]) -> dict[int, int]:
    """The steps at which to look up what was read, each with the step of the point before it.

    Where a finding begins; for those that a batch may have caused, its neighbours too. What was
    read between two points led to the later one.
    """
    steps = [point.step for point in curve]
    wanted: set[int] = set()
    for finding in findings[:_MOST_EVENTS]:
        place = bisect_left(steps, finding.start_step)
        around = 1 if finding.kind in _JUMPS else 0
        wanted.update(range(max(place - around, 1), min(place + around + 1, len(steps))))
    return {steps[place]: steps[place - 1] for place in sorted(wanted)}


def _corpus_facts(
    request: Request,
    named: _Named,
    trial: Trial | None,
    config: RunConfig,
    events: Mapping[int, int],
    notes: list[str],
) -> CorpusFacts | None:
    if request.data is not None:
        return _given_corpus(request.data, named, config, events, notes)
    if trial is None and named.data is None:
        return None
    if not events:  # seconds of work for a run that nothing has happened to
        return None
    try:
        return _mentioned_corpus(named, trial, config, events)
    except (BaseError, DataError) as error:
        notes.append(f"the run's corpus was left out: {error}")
        return None


def _given_corpus(
    data: str, named: _Named, config: RunConfig, events: Mapping[int, int], notes: list[str]
) -> CorpusFacts:
    """The corpus that the user named, by the tokens of a base that is at hand."""
    from sweeper.diagnosis.corpus import read_corpus_facts
    from sweeper.diagnosis.model import base_folder

    model = named.model
    if model is not None and not named.is_model_given:
        try:
            base_folder(model, named.model_folder)
        except BaseError as error:
            notes.append(f"the corpus was read without the run's tokenizer: {error}")
            model = None
    return read_corpus_facts(
        data,
        Path(),
        model=model,
        model_folder=named.model_folder,
        config=config,
        event_steps=events,
    )


def _mentioned_corpus(
    named: _Named, trial: Trial | None, config: RunConfig, events: Mapping[int, int]
) -> CorpusFacts | None:
    """The corpus that a run of ours or a study says it was trained on."""
    from sweeper.diagnosis.corpus import read_corpus_facts
    from sweeper.diagnosis.trial import read_trial_corpus

    if trial is not None:
        return read_trial_corpus(trial, events)
    if named.data is None:
        return None
    return read_corpus_facts(
        named.data,
        named.data_folder,
        model=named.model,
        model_folder=named.model_folder,
        config=config,
        event_steps=events,
    )
