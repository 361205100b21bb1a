"""Cases and causes made by hand: what the parts of a diagnosis are held against."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sweeper.curves import Curve, Finding, FindingKind, Point
from sweeper.curves.detection import detect
from sweeper.diagnosis.case import Case, RunConfig
from sweeper.diagnosis.cause import Advice, Cause, Decision, Rule, Verdict
from sweeper.diagnosis.floors import Floors
from sweeper.logs import Log, read_log

RECORDED = Path(__file__).parents[2] / "studies" / "baselines" / "gpt2-mps.csv"
# How the recorded run was set up.
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
    "num_heads": 4,
}
# Of the embedded base as it is drawn, on the embedded corpus.
FLOORS = Floors(
    model="builtin:untrained",
    vocabulary=1024,
    hidden_size=128,
    initializer_range=0.02,
    looks_untrained=True,
    weights_evidence="0 of 18 normalisation tensors have moved",
    unigram_nats=5.58,
    bigram_nats=3.43,
    num_predictions=5888,
    ground="abc",
)


def config_of(values: Mapping[str, object], origin: str = "run.yaml") -> RunConfig:
    """A configuration whose every value is from one place."""
    return RunConfig(values, dict.fromkeys(values, origin))


@functools.cache
def recorded_log() -> Log:
    """The log of the run that is shipped as a baseline."""
    return read_log(RECORDED)


def recorded_case(
    config: Mapping[str, object] | RunConfig = RECORDED_CONFIG, **parts: object
) -> Case:
    """The recorded run with its own findings."""
    log = recorded_log()
    known = config if isinstance(config, RunConfig) else config_of(config)
    case = Case(log=log, findings=detect(log.curve), config=known)
    return replace(case, **parts)  # type: ignore[arg-type]


def points(
    train: Sequence[float | None],
    val: Sequence[float | None] | None = None,
    *,
    every: int = 1,
    start: int = 0,
    **columns: Sequence[float | None],
) -> tuple[Point, ...]:
    """Points at even steps; columns are further fields of a point."""
    rows = []
    for index, loss in enumerate(train):
        step = start + index * every
        extra = {name: values[index] for name, values in columns.items()}
        rows.append(
            Point(
                step=step,
                tokens=0,
                train_loss=loss,
                val_loss=val[index] if val is not None else None,
                **extra,
            )
        )
    return tuple(rows)


def case_of(
    rows: Sequence[Point],
    findings: Sequence[Finding] = (),
    config: Mapping[str, object] | None = None,
    **parts: object,
) -> Case:
    """A case around some points; nothing is detected."""
    case = Case(
        log=Log(source="run.log", format="CSV", curve=Curve(tuple(rows))),
        findings=tuple(findings),
        config=config_of(config or {}),
    )
    return replace(case, **parts)  # type: ignore[arg-type]


def finding(
    kind: FindingKind,
    start: int,
    end: int | None = None,
    *,
    severity: float = 1.0,
    recovered: bool | None = None,
    **numbers: float,
) -> Finding:
    """A finding as a detector would make it."""
    end = start if end is None else end
    return Finding(kind, start, end, severity, recovered, f"{kind.value} seen", numbers)


def spike(
    start: int, end: int | None = None, *, recovered: bool = True, severity: float = 1.0
) -> Finding:
    """A spike; `end` is the last point that is still high."""
    return finding(FindingKind.SPIKE, start, end, severity=severity, recovered=recovered)


def advice(
    advice_id: str = "raise-rate", change: Mapping[str, object] | None = None, **parts: object
) -> Advice:
    """Advice that changes the learning rate, if nothing else is said."""
    made = Advice(
        id=advice_id,
        title=f"Do {advice_id}",
        reason=f"Because of {advice_id}.",
        refuted_by=f"{advice_id} changes nothing.",
        change={"learning_rate": 1e-4} if change is None else change,
        expect="val_loss < baseline",
    )
    return replace(made, **parts)  # type: ignore[arg-type]


def cause(
    cause_id: str = "lr-too-low",
    *advised: Advice,
    verdict: Verdict = Verdict.SUPPORTED,
    confidence: float = 0.6,
    explains_stall: bool = False,
) -> Cause:
    """A rule's answer that carries some advice."""
    rule = Rule(
        id=cause_id,
        title=f"Title of {cause_id}",
        needs=(),
        decide=lambda case: decision,
        cannot_show="anything else",
        experiment="another run",
        advise=lambda case, decision: advised,
        explains_stall=explains_stall,
    )
    decision = Decision(verdict, confidence, (f"Evidence of {cause_id}",))
    return Cause(rule, decision)
