"""The report's last part: files to keep and to ignore, the data, and how the log was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sweeper.diagnosis.case import CorpusFacts, DuplicateGroup, ModelFacts, Passage, RunConfig
from sweeper.diagnosis.diagnosis import Diagnosis
from sweeper.logs import Log
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

_MOST_GROUPS = 10
_MOST_WINDOWS = 5
_ODD_SIGMAS = 3.0  # a stretch nearer to the rest than this is nothing to read
_MOST_PASSAGES = 5


def files(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """The checkpoint to go back to, those to ignore, the training data and the base."""
    case = diagnosis.case
    return (
        Heading("Files of interest"),
        Bullets((_best(diagnosis), *_to_ignore(diagnosis), _data(case.corpus), _base(case.model))),
        *_checkpoints(diagnosis),
        *([] if case.corpus is None else _corpus(case.corpus)),
    )


def _best(diagnosis: Diagnosis) -> Item:
    step, reason = diagnosis.last_good_step, words.clean(diagnosis.last_good_reason)
    if step is None:
        return Item(reason or "no step stands out", "Best checkpoint")
    names = [item.name for item in diagnosis.checkpoints if item.step == step and item.keep]
    name = f"{phrases.short_name(names[0])} (step {step})" if any(names) else f"step {step}"
    return Item(f"{name}: {reason}" if reason else name, "Best checkpoint")


def _to_ignore(diagnosis: Diagnosis) -> tuple[Item, ...]:
    ignored = [item for item in diagnosis.checkpoints if not item.keep]
    if not ignored:
        return (Item("none", "Checkpoints to ignore"),)
    return (Item(", ".join(f"step {item.step}" for item in ignored), "Checkpoints to ignore"),)


def _checkpoints(diagnosis: Diagnosis) -> tuple[Block, ...]:
    if not diagnosis.checkpoints:
        return ()
    rows = tuple(
        Row(
            (
                str(item.step),
                phrases.short_name(item.name) if item.name else words.ABSENT,
                "keep" if item.keep else "ignore",
                words.clean(item.reason),
            ),
            is_marked=item.step == diagnosis.last_good_step,
        )
        for item in diagnosis.checkpoints
    )
    return (Table(("step", "file", "advice", "reason"), rows, frozenset({0})),)


def _data(corpus: CorpusFacts | None) -> Item:
    if corpus is None:
        return Item("not given; --data FILE looks into it", "Training data")
    exact = "the run's own" if corpus.is_exact else "not the run's own, so counts are estimates"
    return Item(
        f"{words.clean(corpus.source, 160)}: {words.plural(corpus.num_documents, 'document')}, "
        f"{corpus.num_tokens:,} tokens by {words.clean(corpus.tokenizer)} ({exact}; "
        f"{corpus.vocab_size:,} entries), entropy {corpus.unigram_nats:.2f} nats by unigrams and "
        f"{corpus.bigram_nats:.2f} by bigrams",
        "Training data",
    )


def _base(model: ModelFacts | None) -> Item:
    if model is None:
        return Item("not given; --model FOLDER looks into it", "Base")
    looks = {True: "the weights look untrained", False: "the weights look trained", None: ""}
    parts = (
        f"a vocabulary of {model.vocab_size:,}",
        f"width {model.hidden_size}" if model.hidden_size is not None else "",
        f"initializer range {model.initializer_range:g}" if model.initializer_range else "",
        f"a tokenizer of {model.tokenizer_size:,}" if model.tokenizer_size is not None else "",
        looks[model.looks_untrained],
        words.clean(model.weights_evidence),
        f"missing: {_listed(model.missing)}" if model.missing else "",
    )
    return Item(f"{words.clean(model.source, 160)}: {', '.join(filter(None, parts))}", "Base")


def _listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(words.clean(name, 80) for name in names[:_MOST_GROUPS])
    more = len(names) - _MOST_GROUPS
    return f"{shown} and {more:,} more" if more > 0 else shown


def _corpus(corpus: CorpusFacts) -> tuple[Block, ...]:
    """What the training data shows: copies, repeated passages, odd stretches, what was read."""
    items = (
        *_groups(corpus.exact_duplicates, "Equal documents"),
        *_groups(corpus.near_duplicates, "Nearly equal documents"),
        *_repeated(corpus),
        *_drift(corpus),
        *_split(corpus),
    )
    nothing = (Paragraph("No duplicates, no repeated section and no drift were found."),)
    found = (Bullets(items),) if items else nothing
    return (Heading("What the training data shows", 3), *found, *_events(corpus))


def _groups(groups: Sequence[DuplicateGroup], label: str) -> Iterable[Item]:
    for group in groups[:_MOST_GROUPS]:
        alike = "" if group.similarity >= 1 else f" (similarity {group.similarity:.2f} or more)"
        yield Item(f"{_listed(group.names)}{alike}", label)
    if len(groups) > _MOST_GROUPS:
        yield Item(f"{len(groups) - _MOST_GROUPS:,} more groups", label)


def _repeated(corpus: CorpusFacts) -> Iterable[Item]:
    for section in corpus.repeated_sections[:_MOST_GROUPS]:
        places = _listed([f"{position:,}" for position in section.positions_tokens])
        yield Item(
            f"“{words.clean(section.text, 100)}” ({section.num_tokens:,} tokens) in "
            f"{_listed(section.names)}, at tokens {places}",
            "Repeated section",
        )
    if len(corpus.repeated_sections) > _MOST_GROUPS:
        yield Item(f"{len(corpus.repeated_sections) - _MOST_GROUPS:,} more", "Repeated sections")


def _drift(corpus: CorpusFacts) -> Iterable[Item]:
    odd = [window for window in corpus.drift if window.z >= _ODD_SIGMAS]
    if corpus.drift and not odd:
        most = max(window.z for window in corpus.drift)
        yield Item(
            f"no stretch of {len(corpus.drift):,}; the oddest stands {most:+.1f} robust standard "
            "deviations off",
            "Unlike the rest",
        )
    for window in sorted(odd, key=lambda window: -window.z)[:_MOST_WINDOWS]:
        yield Item(
            f"tokens {window.start_tokens:,} to {window.end_tokens:,}: {window.divergence_nats:.3f}"
            f" nats from the rest, {window.z:+.1f} robust standard deviations",
            "Unlike the rest",
        )


def _split(corpus: CorpusFacts) -> Iterable[Item]:
    if corpus.split_duplicates:
        yield Item(_listed(corpus.split_duplicates), "On both sides of the split")


def _events(corpus: CorpusFacts) -> tuple[Block, ...]:
    rows = [
        row for step, passages in sorted(corpus.events.items()) for row in _passages(step, passages)
    ]
    if not rows:
        return ()
    order = (
        "What was read at the events, by the run's own order of batches:"
        if corpus.order_is_known
        else "What was read at the events, if the corpus was read in order (unknown here):"
    )
    headings = ("step", "document", "from token", "tokens", "epoch", "remarks")
    return (Paragraph(order), Table(headings, tuple(rows), frozenset({0, 2, 3, 4})))


def _passages(step: int, passages: Sequence[Passage]) -> Iterable[Row]:
    """The first passages of an event, and how many more there are."""
    for passage in passages[:_MOST_PASSAGES]:
        yield Row(
            (
                str(step),
                words.clean(passage.name, 120),
                f"{passage.start_tokens:,}",
                f"{passage.num_tokens:,}",
                str(passage.epoch),
                words.clean("; ".join(passage.remarks)) or words.ABSENT,
            )
        )
    more = len(passages) - _MOST_PASSAGES
    if more > 0:
        yield Row((str(step), f"and {more:,} more", *[words.ABSENT] * 4))


def reading(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """What was understood of the log and of the configuration, so that a mistake is seen."""
    log, case = diagnosis.case.log, diagnosis.case
    facts = [
        Item(words.clean(log.format), "Format"),
        Item(_extent(log), "Points"),
        Item(", ".join(sorted(case.evidence)), "Evidence at hand"),
    ]
    if case.is_trial:
        facts.append(Item("its batches are known exactly", "A sweeper trial"))
    if log.runs:
        facts.append(Item(_listed(log.runs), "Runs in the log"))
    if log.restart_steps:
        steps = ", ".join(str(step) for step in log.restart_steps)
        facts.append(Item(f"at step {steps}", "Resumed"))
    facts += [Item(words.clean(note), "Note") for note in (*log.notes, *case.notes)]
    return (
        Heading("How the log was read"),
        Bullets(tuple(facts)),
        *_columns(log),
        *_logged_settings(log.settings),
        *_config(case.config),
    )


def _extent(log: Log) -> str:
    points = log.curve.points
    if not points:
        return "none"
    return f"{words.plural(len(points), 'point')}, steps {points[0].step} to {points[-1].step}"


def _columns(log: Log) -> tuple[Block, ...]:
    if not log.columns:
        return ()
    rows = tuple(
        Row(
            tuple(
                words.clean(cell, 80) or words.ABSENT
                for cell in (use.name, use.role, use.unit, use.reading, use.basis)
            )
        )
        for use in log.columns
    )
    hint = "Wrong? --column ROLE=NAME, --unit ROLE=UNIT and --time per-step or cumulative set it."
    return (Table(("column", "read as", "unit", "reading", "basis"), rows), Paragraph(hint))


def _logged_settings(settings: Mapping[str, object]) -> tuple[Block, ...]:
    if not settings:
        return ()
    rows = tuple(
        Row((words.clean(name, 80), phrases.setting_words(value)))
        for name, value in settings.items()
    )
    return (Table(("setting that the log prints", "value"), rows),)


def _config(config: RunConfig) -> tuple[Block, ...]:
    notes = bullets(config.notes)
    if not config.values:
        nothing = Paragraph("Nothing is known of the configuration; --config FILE tells it.")
        return (nothing, *notes)
    rows = tuple(
        Row(
            (
                words.clean(name, 80),
                phrases.setting_words(value),
                words.clean(config.origins.get(name, words.ABSENT), 80),
            )
        )
        for name, value in config.values.items()
    )
    table = Table(("configuration", "value", "from"), rows)
    if not config.ignored:
        return (table, *notes)
    ignored = Paragraph(f"Keys that mean nothing here: {_listed(config.ignored)}.")
    return (table, *notes, ignored)


def numbers(diagnosis: Diagnosis) -> tuple[Block, ...]:
    """Every number behind a finding or a cause, by name."""
    of_findings = [
        (phrases.finding_words(finding), finding.numbers) for finding in diagnosis.case.findings
    ]
    of_causes = [(cause.id, cause.decision.numbers) for cause in diagnosis.causes]
    rows = tuple(
        Row((of, phrases.numbers_words(values)))
        for of, values in (*of_findings, *of_causes)
        if values
    )
    if not rows:
        return (Heading("The numbers behind it"), Paragraph("There are none beyond those above."))
    return (Heading("The numbers behind it"), Table(("of", "numbers"), rows))
