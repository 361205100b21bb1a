"""The rules: every possible cause, a module for each kind."""

from __future__ import annotations

from sweeper.diagnosis.case import Case
from sweeper.diagnosis.cause import Cause, Rule, Verdict
from sweeper.diagnosis.rules.artefacts import LOG_ARTEFACT
from sweeper.diagnosis.rules.capacity import CAPACITY, UNIGRAM_FLOOR
from sweeper.diagnosis.rules.data import DATA_QUALITY, DUPLICATE_TEXT, LEAK, SPLIT_SHIFT
from sweeper.diagnosis.rules.evaluation import EVAL_FAULT, EVAL_ONLY_NAN, EVAL_STALE, OVERFIT
from sweeper.diagnosis.rules.jumps import OUTLIER_BATCH, RESUME_RESET, WEIGHTS_OR_EVAL_STATE
from sweeper.diagnosis.rules.loading import TOKENIZER_MISMATCH, WEIGHTS_NOT_LOADED
from sweeper.diagnosis.rules.order import DATA_ORDER, REPETITION
from sweeper.diagnosis.rules.precision import FP16_OVERFLOW, LABEL_MASK, MASKED_NAN
from sweeper.diagnosis.rules.rate import LR_TOO_HIGH, LR_TOO_LOW
from sweeper.diagnosis.rules.schedule import SCHEDULE_EXHAUSTED, WARMUP_END
from sweeper.diagnosis.rules.speed import MEMORY_PRESSURE, SLOWED_BY_SPIKE, THROUGHPUT
from sweeper.diagnosis.rules.stability import (
    ADAM_INSTABILITY,
    CLIPPING_ABSENT,
    GRADIENT_EXPLOSION,
    SMALL_BATCH_NOISE,
)
from sweeper.diagnosis.rules.start import UNTRAINED_BASE
from sweeper.diagnosis.rules.trainables import ADAPTER_NOT_TRAINING, WRONG_TRAINABLES
from sweeper.diagnosis.verdicts import lacking

RULES: tuple[Rule, ...] = (
    UNTRAINED_BASE,
    WEIGHTS_NOT_LOADED,
    TOKENIZER_MISMATCH,
    UNIGRAM_FLOOR,
    ADAPTER_NOT_TRAINING,
    WRONG_TRAINABLES,
    MASKED_NAN,
    LABEL_MASK,
    FP16_OVERFLOW,
    GRADIENT_EXPLOSION,
    CLIPPING_ABSENT,
    LR_TOO_HIGH,
    LR_TOO_LOW,
    WARMUP_END,
    SCHEDULE_EXHAUSTED,
    OUTLIER_BATCH,
    DATA_QUALITY,
    DUPLICATE_TEXT,
    WEIGHTS_OR_EVAL_STATE,
    EVAL_FAULT,
    EVAL_ONLY_NAN,
    EVAL_STALE,
    RESUME_RESET,
    ADAM_INSTABILITY,
    SMALL_BATCH_NOISE,
    OVERFIT,
    REPETITION,
    SPLIT_SHIFT,
    LEAK,
    DATA_ORDER,
    THROUGHPUT,
    SLOWED_BY_SPIKE,
    MEMORY_PRESSURE,
    LOG_ARTEFACT,
    CAPACITY,
)
_ORDER = (Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.UNTESTABLE)

__all__ = ["RULES", "judge"]


def judge(case: Case) -> tuple[Cause, ...]:
    """Every rule's answer: supported first, then contradicted, by confidence; then untestable."""
    there = case.evidence
    causes = []
    for rule in RULES:
        missing = [kind for kind in rule.needs if kind not in there]
        causes.append(Cause(rule, lacking(missing) if missing else rule.decide(case)))
    causes.sort(key=lambda cause: (_ORDER.index(cause.verdict), -cause.confidence))
    return tuple(causes)
