"""Cases made by hand: small curves, findings as the detectors would give them, and the seed's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sweeper.curves import Curve, Finding, FindingKind, Point
from sweeper.diagnosis.case import Case, CorpusFacts, ModelFacts, RunConfig
from sweeper.diagnosis.cause import Cause
from sweeper.diagnosis.rules import judge
from sweeper.logs import Log

NAN = math.nan

# The run of studies/baselines/gpt2-mps.csv: step, train, validation, steps per second.
RECORDED = (
    (0, 9.2270, 9.2680, None),
    (500, 6.9544, 7.1291, 1.04),
    (1000, 6.5811, 6.7096, 1.05),
    (1500, 6.6511, 6.7427, 1.05),
    (2000, 9.5846, 9.6169, 1.05),
    (2500, 6.6424, 6.7105, 0.62),
)
RECORDED_CONFIG: Mapping[str, object] = {
    "block_size": 256,
    "batch_size": 8,
    "learning_rate": 2e-5,
    "schedule": "cosine",
    "warmup": 500,
    "warmup_start_factor": 0.1,
    "total_steps": 5000,
    "clip_norm": 1.0,
    "rank": 8,
}

Values = Sequence[float | None]


def curve_of(train: Values = (), *, steps: Sequence[int] | None = None, **others: Values) -> Curve:
    """A curve of columns of equal length; other columns by the names of `Point`'s fields."""
    columns = {"train_loss": train, **others} if train else others
    length = len(next(iter(columns.values()), ()))
    places = steps if steps is not None else range(length)
    return Curve(
        tuple(
            Point(step=step, tokens=step, **{name: col[i] for name, col in columns.items()})
            for i, step in enumerate(places)
        )
    )


def case_of(
    train: Values = (),
    *,
    steps: Sequence[int] | None = None,
    findings: Sequence[Finding] = (),
    config: Mapping[str, object] | None = None,
    corpus: CorpusFacts | None = None,
    model: ModelFacts | None = None,
    log: Mapping[str, object] | None = None,
    **others: Values,
) -> Case:
    """A case of such a curve; `log` sets fields of `Log`."""
    curve = curve_of(train, steps=steps, **others)
    return Case(
        log=Log("run.csv", "CSV", curve, **(log or {})),  # type: ignore[arg-type]
        findings=tuple(findings),
        config=RunConfig(config or {}),
        corpus=corpus,
        model=model,
    )


def found(
    kind: FindingKind,
    start_step: int,
    end_step: int | None = None,
    *,
    severity: float = 1.0,
    recovered: bool | None = None,
    **numbers: float,
) -> Finding:
    """A finding whose evidence is a phrase, as a detector's is."""
    end = start_step if end_step is None else end_step
    return Finding(kind, start_step, end, severity, recovered, f"a {kind.value}", numbers)


def spike(
    start_step: int, end_step: int | None = None, *, severity: float = 2.0, recovered: bool = True
) -> Finding:
    """A spike."""
    return found(FindingKind.SPIKE, start_step, end_step, severity=severity, recovered=recovered)


def plateau(start_step: int, end_step: int, **numbers: float) -> Finding:
    """A plateau."""
    return found(FindingKind.PLATEAU, start_step, end_step, severity=0.0, **numbers)


def recorded_case(config: Mapping[str, object] | None = None) -> Case:
    """The recorded run with what the detectors find on it."""
    steps, train, val, speed = zip(*RECORDED, strict=True)
    return case_of(
        train,
        steps=steps,
        val_loss=val,
        step_seconds=[None if each is None else 1 / each for each in speed],
        findings=(
            found(FindingKind.PLATEAU, 1000, 2500, severity=0.0, level=6.7105, num_points=3),
            found(FindingKind.SPIKE, 2000, 2000, severity=2.93, recovered=True),
            found(
                FindingKind.THROUGHPUT_DROP,
                2000,
                2500,
                severity=1.05 / 0.62,
                recovered=False,
                ratio=1.05 / 0.62,
                before_s=1 / 1.05,
                after_s=1 / 0.62,
                num_points=1,
            ),
        ),
        config=RECORDED_CONFIG if config is None else config,
    )


def corpus_of(**facts: object) -> CorpusFacts:
    """A corpus of ten thousand tokens, all of it clean unless said otherwise."""
    usual: dict[str, object] = {
        "source": "faq.md",
        "num_documents": 100,
        "num_tokens": 10_000,
        "tokenizer": "gpt2",
        "is_exact": True,
        "vocab_size": 50257,
        "unigram_nats": 6.5,
        "bigram_nats": 4.5,
    }
    return CorpusFacts(**(usual | facts))  # type: ignore[arg-type]


def answer(case: Case, rule_id: str) -> Cause:
    """One rule's answer."""
    (cause,) = [cause for cause in judge(case) if cause.id == rule_id]
    return cause


def told(cause: Cause) -> str:
    """Verdict and evidence as one text, for tables that name a part of it."""
    return " ".join([f"{cause.verdict.value}:", *cause.decision.evidence])
