"""Hand-made diagnoses: one with something in every part, one of a healthy run, one that is evil."""

from __future__ import annotations

import math
from dataclasses import replace

from sweeper.curves import Curve, Finding, FindingKind, Point
from sweeper.diagnosis.case import (
    Case,
    CorpusFacts,
    DriftWindow,
    DuplicateGroup,
    Evidence,
    ModelFacts,
    Passage,
    RepeatedSection,
    RunConfig,
)
from sweeper.diagnosis.cause import Advice, Cause, Decision, Rule, Verdict
from sweeper.diagnosis.diagnosis import (
    CheckpointAdvice,
    Diagnosis,
    EventSettings,
    GapRow,
    ProposedTest,
    Recommendation,
    SpeedSegment,
    SpikeAnalysis,
    TimelineRow,
)
from sweeper.logs import ColumnUse, Log

LOSSES = (8.1, 6.2, 5.6, 5.4, 7.9, 5.5, 5.45, 5.47)
STATUSES = ("start", "falling", "falling", "falling", "spike", "recovered", "flat", "flat")
EVERY_STEPS = 100
BAD_STEP = 400


def points() -> tuple[Point, ...]:
    """Eight points: a fall, a spike at step 400, and a plateau; slower from step 500 on."""
    return tuple(
        Point(
            step=EVERY_STEPS * place,
            tokens=EVERY_STEPS * place * 2048,
            train_loss=loss,
            val_loss=loss + 0.1,
            learning_rate=None if place == 0 else 1e-4 * (8 - place) / 8,
            step_seconds=None if place == 0 else 0.5 if place < 5 else 0.8,
        )
        for place, loss in enumerate(LOSSES)
    )


FINDINGS = (
    Finding(
        FindingKind.SPIKE,
        400,
        400,
        2.5,
        True,
        "loss 7.9000 at step 400, +2.50 nats over the level before it, 5.4000",
        {"height_nats": 2.5, "level_nats": 5.4},
    ),
    Finding(FindingKind.PLATEAU, 300, 700, 0.01, None, "val loss gained 0.0100 nats in 400 steps"),
    Finding(FindingKind.THROUGHPUT_DROP, 500, 700, 1.6, False, "0.5 s a step became 0.8 s"),
)


def no_decision(case: Case) -> Decision:
    """The rules here are never asked: their answers are given."""
    raise AssertionError(f"asked about {case.log.source}")


def cause(
    id: str, verdict: Verdict, confidence: float, *evidence: str, explains_stall: bool = False
) -> Cause:
    """A cause with its rule."""
    rule = Rule(
        id=id,
        title=id.replace("-", " ").capitalize(),
        needs=(Evidence.LOG, Evidence.GRADIENTS),
        decide=no_decision,
        cannot_show=f"whether {id} came first",
        experiment=f"a twin without {id}",
        explains_stall=explains_stall,
    )
    return Cause(rule, Decision(verdict, confidence, evidence, {"share": confidence}))


CAUSES = (
    cause(
        "rate-too-high", Verdict.SUPPORTED, 0.7, "the rate was 5e-5 at step 400", "it fell later"
    ),
    cause("schedule-spent", Verdict.SUPPORTED, 0.4, "the rate ends at 1.3e-5", explains_stall=True),
    cause("overfit", Verdict.CONTRADICTED, 0.9, "validation stays 0.1 above train"),
    cause("gradient-explosion", Verdict.UNTESTABLE, 0.0, "no gradient norm was logged"),
)
RECOMMENDATIONS = (
    Recommendation(
        1,
        Advice(
            id="lower-rate",
            title="Lower the learning rate to a third",
            reason="the spike came at 5e-5, above the usual for this size",
            refuted_by="a spike of the same height at a third of the rate",
            change={"learning_rate": 3.3e-5, "clip_norm": 1.0},
            urgency=1,
            expect="val_loss < baseline",
        ),
        ("rate-too-high",),
        0.7,
    ),
    Recommendation(
        2,
        Advice(
            id="log-gradients",
            title="Log gradient norms",
            reason="without them nothing about gradients can be tested",
            refuted_by="norms that say nothing about the next spike",
            urgency=4,
        ),
        ("rate-too-high", "gradient-explosion"),
        0.4,
    ),
)
TEST = ProposedTest(
    command="LEARNING_RATE=3.3e-5 python train.py",
    expected="between 5.10 and 5.40 nats after 700 steps, without a spike",
    low=5.1,
    high=5.4,
    basis="the slope before the spike, continued",
    refuted_by="a validation loss of 5.45 or more",
    remark="the script has to read LEARNING_RATE",
)
CONFIG = RunConfig(
    values={"learning_rate": 1e-4, "schedule": "linear", "block_size": 256, "clip_norm": None},
    origins={"learning_rate": "run.yaml:2", "schedule": "run.yaml:3", "block_size": "--config"},
    ignored=("favourite_colour",),
    notes=("block_size: 128 (log) gives way to 256 (--config)",),
)
CORPUS = CorpusFacts(
    source="answers.md",
    num_documents=400,
    num_tokens=180_000,
    tokenizer="the byte-level tokenizer of builtin:tiny",
    is_exact=False,
    vocab_size=1024,
    unigram_nats=5.58,
    bigram_nats=4.31,
    exact_duplicates=(DuplicateGroup(("answers.md:10", "answers.md:90")),),
    near_duplicates=(DuplicateGroup(("answers.md:30", "answers.md:31"), 0.93),),
    repeated_sections=(
        RepeatedSection("Yes, and here is why", 40, ("answers.md:5", "answers.md:7"), (900, 2100)),
    ),
    drift=(DriftWindow(0, 60_000, 0.02, -0.4), DriftWindow(60_000, 120_000, 0.19, 7.2)),
    events={400: (Passage("answers.md:90", 61_440, 512, 0, ("equal to answers.md:10",)),)},
    split_duplicates=("answers.md:44",),
)
MODEL = ModelFacts(
    source="base",
    vocab_size=3300,
    hidden_size=128,
    initializer_range=0.02,
    tokenizer_size=3300,
    looks_untrained=True,
    weights_evidence="every matrix has a standard deviation of 0.02",
    missing=("wte",),
)


def log(curve: Curve) -> Log:
    """A log with something in each of its fields."""
    return Log(
        source="run.csv",
        format="CSV",
        curve=curve,
        columns=(
            ColumnUse("iter", "step", "steps", "", "by name"),
            ColumnUse("secs", "step_seconds", "s", "per step", "by name"),
            ColumnUse("colour", ""),
        ),
        notes=("line 9 was cut off and left out",),
        restart_steps=(300,),
        runs=("first", "second"),
        run="second",
        settings={"batch": 8},
    )


def full() -> Diagnosis:
    """A diagnosis with something in every part."""
    curve = Curve(points())
    return Diagnosis(
        case=Case(
            log=log(curve),
            findings=FINDINGS,
            config=CONFIG,
            corpus=CORPUS,
            model=MODEL,
            checkpoint_steps=((300, "step300.pt"), (400, "step400.pt")),
            notes=("checkpoints that tell no step: best.pt",),
        ),
        summary=(
            "The loss spiked at step 400, came back, and has been flat since step 300.",
            "The learning rate is the first suspect.",
        ),
        timeline=tuple(
            TimelineRow(
                step=point.step,
                train_loss=point.train_loss,
                val_loss=point.val_loss,
                change=None if place == 0 else LOSSES[place] - LOSSES[place - 1],
                learning_rate=point.learning_rate,
                status=STATUSES[place],
                is_bad=point.step == BAD_STEP,
            )
            for place, point in enumerate(curve)
        ),
        spikes=(
            SpikeAnalysis(
                400,
                300,
                400,
                400,
                ("It rose from 5.40 to 7.90 nats, +46.3 %.", "One point: its length is unknown."),
            ),
        ),
        settings=(
            EventSettings(
                400,
                "spike",
                {"learning rate": "5e-5 (recomputed)", "block size": "256 (--config)"},
                ("350 steps into the decay",),
            ),
            EventSettings(300, "plateau", {"learning rate": "6.25e-5 (recomputed)"}, ()),
        ),
        speed=(
            SpeedSegment(0, 400, 0.5, 4096.0, None),
            SpeedSegment(400, 700, 0.8, 2560.0, -0.375),
        ),
        gap=tuple(GapRow(100 * place, loss, loss + 0.1, 0.1) for place, loss in enumerate(LOSSES)),
        gap_reading=("Validation lies 0.1 above training throughout: no overfitting.",),
        causes=CAUSES,
        stuck=("The rate is spent: 1.3e-5 at the end.",),
        recommendations=RECOMMENDATIONS,
        test=TEST,
        last_good_step=300,
        last_good_reason="the lowest validation loss before the spike, 5.5000",
        checkpoints=(
            CheckpointAdvice(300, "step300.pt", True, "before the spike"),
            CheckpointAdvice(400, "step400.pt", False, "inside the spike"),
        ),
    )


def healthy() -> Diagnosis:
    """A diagnosis that found nothing, of a log that tells little."""
    curve = Curve(tuple(Point(step, 0, train_loss=5 - step / 10) for step in range(10)))
    return Diagnosis(
        case=Case(log=Log("quiet.jsonl", "JSONL", curve), findings=()),
        summary=("The loss falls steadily.",),
        timeline=(),
        spikes=(),
        settings=(),
        speed=(),
        gap=(),
        gap_reading=(),
        causes=(),
        stuck=(),
        recommendations=(),
        test=None,
        last_good_step=None,
        last_good_reason="",
        checkpoints=(),
    )


def not_finite() -> Diagnosis:
    """A run that ends in NaN, and numbers that are none."""
    calm = full()
    curve = Curve(
        (
            *points()[:4],
            Point(400, 0, math.nan, math.inf, step_seconds=0.5),
            Point(500, 0, math.nan, None),
        )
    )
    finding = Finding(
        FindingKind.NON_FINITE, 400, 500, 0.0, False, "NaN from step 400 on", {"first": math.nan}
    )
    case = replace(calm.case, log=log(curve), findings=(finding,))
    rows = (*calm.timeline[:4], TimelineRow(400, math.nan, math.inf, math.nan, None, "NaN", True))
    return replace(calm, case=case, timeline=rows)


def hostile(text: str) -> Diagnosis:
    """A diagnosis in which everything that comes from outside is `text`."""
    calm = full()
    decision = Decision(Verdict.SUPPORTED, 0.5, (text,), {text: 1.0})
    causes = tuple(Cause(cause.rule, replace(decision, verdict=cause.verdict)) for cause in CAUSES)
    evil_log = replace(
        calm.case.log,
        source=text,
        format=text,
        columns=(ColumnUse(text, text, text, text, text),),
        notes=(text,),
        runs=(text,),
        run=text,
        settings={text: text},
    )
    corpus = replace(
        CORPUS,
        source=text,
        exact_duplicates=(DuplicateGroup((text, text)),),
        repeated_sections=(RepeatedSection(text, 4, (text,), (1,)),),
        events={400: (Passage(text, 0, 1, 0, (text,)),)},
        split_duplicates=(text,),
    )
    advice = Advice(text, text, text, text, {text: text}, 1, text)
    return replace(
        calm,
        case=Case(
            log=evil_log,
            findings=tuple(replace(finding, evidence=text) for finding in FINDINGS),
            config=RunConfig({text: text}, {text: text}, (text,), (text,)),
            corpus=corpus,
            model=replace(MODEL, source=text, weights_evidence=text, missing=(text,)),
            notes=(text,),
        ),
        summary=(text, text),
        timeline=tuple(replace(row, status=text) for row in calm.timeline),
        spikes=tuple(replace(spike, sentences=(text,)) for spike in calm.spikes),
        settings=(EventSettings(400, text, {text: text}, (text,)),),
        gap_reading=(text,),
        causes=causes,
        stuck=(text,),
        recommendations=(Recommendation(1, advice, (text,), 0.5),),
        test=ProposedTest(text, text, None, None, text, text, text),
        last_good_reason=text,
        checkpoints=(CheckpointAdvice(300, text, True, text),),
    )
