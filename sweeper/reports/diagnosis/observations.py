"""The report's observations: what the log shows, before anybody asks why."""

from __future__ import annotations

from collections.abc import Sequence

from sweeper.diagnosis.diagnosis import Diagnosis, EventSettings, SpeedSegment, SpikeAnalysis
from sweeper.reports import words
from sweeper.reports.diagnosis import phrases
from sweeper.reports.diagnosis.blocks import (
    Block,
    Bullets,
    Heading,
    Item,
    Paragraph,
    Row,
    Table,
    bullets,
)

_MOST_EVENTS_ABREAST = 4


def findings_table(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Every finding with its size and its evidence."""
    if not diagnosis.case.findings:
        return (Paragraph("The detectors found nothing: by this log the run is healthy."),)
    headings = ("finding", "steps", "size", "recovered", "evidence")
    rows = tuple(
        Row(
            (
                phrases.kind_words(finding.kind),
                phrases.steps_words(finding.start_step, finding.end_step),
                phrases.size_words(finding),
                phrases.recovered_words(finding),
                words.clean(finding.evidence),
            )
        )
        for finding in diagnosis.case.findings
    )
    return (Table(headings, rows),)


def observations(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Loss over steps, spikes, the configuration at them, speed, training against validation."""
    return (
        Heading("Key observations"),
        Heading("1. Loss progression timeline", 3),
        *_timeline(diagnosis),
        Heading("2. Spikes and divergence", 3),
        *_spikes(diagnosis.spikes),
        Heading("3. Training configuration at the events", 3),
        *_settings(diagnosis),
        Heading("4. Training speed", 3),
        *_speed(diagnosis.speed),
        Heading("5. Divergence pattern: training against validation", 3),
        *_gap(diagnosis),
    )


def _timeline(diagnosis: Diagnosis) -> tuple[Block, ...]:
    if not diagnosis.timeline:
        return (Paragraph("The log holds no finite loss, so there is no timeline."),)
    headings = ("step", "train loss", "val loss", "Δ loss", "learning rate", "status")
    rows = tuple(
        Row(
            (
                str(row.step),
                phrases.loss_words(row.train_loss),
                phrases.loss_words(row.val_loss),
                words.number(row.change, "+.4f"),
                phrases.rate_words(row.learning_rate),
                words.clean(row.status),
            ),
            is_marked=row.is_bad,
        )
        for row in diagnosis.timeline
    )
    remark = "Losses in nats per token; rows that belong to a finding are marked."
    return (Table(headings, rows, frozenset(range(5))), Paragraph(remark))


def _spikes(spikes: Sequence[SpikeAnalysis]) -> tuple[Block, ...]:
    if not spikes:
        return (Paragraph("No spike and no divergence was found."),)
    blocks: list[Block] = []
    for spike in spikes:
        blocks += [Heading(_spike_title(spike), 4), *bullets(spike.sentences)]
    return tuple(blocks)


def _spike_title(spike: SpikeAnalysis) -> str:
    since = "" if spike.previous_step is None else f", begun after step {spike.previous_step}"
    place = phrases.steps_words(spike.start_step, spike.end_step)
    return f"{place[0].upper()}{place[1:]}, highest at step {spike.peak_step}{since}"


def _settings(diagnosis: Diagnosis) -> tuple[Block, ...]:
    events = diagnosis.settings
    if not events:
        return (Paragraph("There is no event whose configuration would matter."),)
    blocks: list[Block] = []
    for start in range(0, len(events), _MOST_EVENTS_ABREAST):
        blocks += _settings_table(events[start : start + _MOST_EVENTS_ABREAST])
    remarks = tuple(
        Item(words.clean(remark), f"{words.clean(event.what)}, step {event.step}")
        for event in events
        for remark in event.remarks
    )
    return (*blocks, Bullets(remarks)) if remarks else tuple(blocks)


def _settings_table(events: Sequence[EventSettings]) -> tuple[Block, ...]:
    names = list(dict.fromkeys(name for event in events for name in event.values))
    if not names:
        return (Paragraph("Nothing is known of the configuration; --config FILE tells it."),)
    heads = tuple(f"{words.clean(event.what)}, step {event.step}" for event in events)
    rows = tuple(
        Row((words.clean(name), *(_value(event, name) for event in events))) for name in names
    )
    return (Table(("setting", *heads), rows),)


def _value(event: EventSettings, name: str) -> str:
    return words.clean(event.values.get(name, words.ABSENT))


def _speed(segments: Sequence[SpeedSegment]) -> tuple[Block, ...]:
    if not segments:
        return (Paragraph("The log holds no times, so the speed is unknown."),)
    headings = ("steps", "seconds a step", "steps a second", "tokens a second", "change of speed")
    rows = tuple(
        Row(
            (
                f"{segment.start_step} to {segment.end_step}",
                words.number(segment.step_seconds, ".4g"),
                words.number(_per_second(segment.step_seconds), ".3g"),
                words.count(segment.tokens_per_second),
                words.number(segment.change, "+.0%"),
            )
        )
        for segment in segments
    )
    one = (Paragraph("The speed never changed by more than its noise."),)
    table = Table(headings, rows, frozenset(range(1, 5)))
    return (table, *one) if len(segments) == 1 else (table,)


def _per_second(step_seconds: float) -> float | None:
    return 1 / step_seconds if step_seconds > 0 else None


def _gap(diagnosis: Diagnosis) -> tuple[Block, ...]:
    if not diagnosis.gap:
        nothing = "Training and validation loss were not both logged, so there is no gap to read."
        return bullets(diagnosis.gap_reading) or (Paragraph(nothing),)
    rows = tuple(
        Row(
            (
                str(row.step),
                phrases.loss_words(row.train_loss),
                phrases.loss_words(row.val_loss),
                words.number(row.gap, "+.4f"),
            )
        )
        for row in diagnosis.gap
    )
    headings = ("step", "train loss", "val loss", "val - train")
    return (Table(headings, rows, frozenset(range(4))), *bullets(diagnosis.gap_reading))
