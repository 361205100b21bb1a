"""What every rule owes: texts, ranges, no exception on any curve, and advice that can be tried."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.curves import Curve, Finding, FindingKind, Point
from sweeper.diagnosis.case import (
    Case,
    CorpusFacts,
    DriftWindow,
    Evidence,
    ModelFacts,
    Passage,
    RepeatedSection,
    RunConfig,
)
from sweeper.diagnosis.cause import Advice, Cause, Rule, Verdict
from sweeper.diagnosis.rules import RULES, judge
from sweeper.diagnosis.verdicts import REMEDIES
from sweeper.logs import ColumnUse, Log
from sweeper.study import Hyperparameters
from sweeper.study.sections import Hypothesis
from tests.diagnosis.rules.cases import NAN, case_of, corpus_of, found, recorded_case, spike

HUGE = 1e300
KINDS = tuple(FindingKind)
MODEL = ModelFacts("base", vocab_size=50257, hidden_size=768, tokenizer_size=50257)


def everything(kinds: tuple[FindingKind, ...], start: int, end: int) -> tuple[Finding, ...]:
    return tuple(found(kind, start, end) for kind in kinds)


ODD_CASES = {
    "an empty curve": case_of(),
    "an empty curve with findings": case_of(findings=everything(KINDS, 0, 10)),
    "one point": case_of([3.0], findings=everything(KINDS, 0, 0)),
    "all NaN": case_of(
        [NAN] * 5, val_loss=[NAN] * 5, grad_norm=[NAN] * 5, findings=everything(KINDS, 0, 4)
    ),
    "all infinite": case_of(
        [math.inf] * 5, learning_rate=[math.inf] * 5, findings=everything(KINDS, 1, 4)
    ),
    "no validation": case_of([3.0, 2.0, 9.0, 2.0], findings=everything(KINDS, 2, 3)),
    "validation alone": case_of(val_loss=[3.0, 2.0, 9.0, 2.0], findings=everything(KINDS, 2, 3)),
    "zeros": case_of(
        [0.0] * 5,
        val_loss=[0.0] * 5,
        grad_norm=[0.0] * 5,
        learning_rate=[0.0] * 5,
        step_seconds=[0.0] * 5,
        loss_scale=[0.0] * 5,
        findings=everything(KINDS, 1, 4),
    ),
    "negative losses": case_of(
        [-1.0, -2.0, 3.0, -2.0], val_loss=[-1.0, -2.0, 3.0, -2.0], findings=[spike(2)]
    ),
    "huge values": case_of(
        [HUGE, -HUGE, HUGE, HUGE],
        val_loss=[HUGE] * 4,
        grad_norm=[1e-300, HUGE, HUGE, HUGE],
        learning_rate=[HUGE] * 4,
        step_seconds=[HUGE] * 4,
        loss_scale=[HUGE, 1e-300, 1.0, 1.0],
        findings=everything(KINDS, 1, 3),
    ),
    "findings outside the curve": case_of([3.0, 2.0], findings=everything(KINDS, 900, 950)),
    "a finding of no finite size": case_of(
        [3.0, 2.0, 5.0], findings=[spike(2, severity=NAN), spike(1, severity=math.inf)]
    ),
    "all that can be given": Case(
        log=Log(
            "run.csv",
            "CSV",
            recorded_case().curve,
            columns=(ColumnUse("loss", "train_loss", "nats", "running mean", "by name"),),
            restart_steps=(0, 1500, 9999),
            runs=("a", "b"),
            run="a",
        ),
        findings=everything(KINDS, 2000, 2500),
        config=recorded_case().config,
        corpus=corpus_of(
            events={2000: (Passage("a.md:1", 0, 0), Passage("b.md:9", 10, 100, 3, ("odd",)))},
            drift=(DriftWindow(0, 50, 0.3, 9.0),),
            repeated_sections=(RepeatedSection("x", 5, ("a.md",), (20, 70)),),
            split_duplicates=("a.md:1",),
        ),
        model=MODEL,
        is_trial=True,
    ),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_explains_itself(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.id)
    for text in (rule.title, rule.cannot_show, rule.experiment):
        assert text.strip() == text != ""
    assert not rule.title.endswith(".")
    assert rule.cannot_show.endswith(".")
    assert rule.experiment.endswith(".")
    assert Evidence.LOG in rule.needs


def test_no_two_rules_share_an_id() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("case", ODD_CASES.values(), ids=ODD_CASES.keys())
def test_every_rule_answers_odd_cases(case: Case) -> None:
    check_answers(case)


def check_answers(case: Case) -> None:
    causes = judge(case)

    assert sorted(cause.id for cause in causes) == sorted(rule.id for rule in RULES)
    for cause in causes:
        check_decision(cause)
        for advice in cause.rule.advise(case, cause.decision):
            check_advice(advice)


def check_decision(cause: Cause) -> None:
    assert 0 <= cause.confidence <= 1, cause.id
    assert (cause.confidence == 0) == (cause.verdict is Verdict.UNTESTABLE), cause.id
    assert cause.decision.evidence, cause.id
    for sentence in cause.decision.evidence:
        assert re.match(r"\S.*[.)]$", sentence, re.DOTALL), (cause.id, sentence)
        assert "  " not in sentence and ".." not in sentence, (cause.id, sentence)
    json.dumps(dict(cause.decision.numbers), allow_nan=False)


def check_advice(advice: Advice) -> None:
    for text in (advice.title, advice.reason, advice.refuted_by):
        assert text.strip() == text != "", advice.id
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", advice.id)
    assert 1 <= advice.urgency <= 5
    if not advice.change:
        assert advice.expect == "", advice.id
        return
    Hyperparameters.model_validate(dict(advice.change))
    Hypothesis.model_validate(
        {"name": advice.title, "change": dict(advice.change), "expect": advice.expect or None}
    )


@pytest.mark.parametrize("case", ODD_CASES.values(), ids=ODD_CASES.keys())
def test_answers_come_supported_first_and_by_confidence(case: Case) -> None:
    causes = judge(case)

    order = [Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.UNTESTABLE]
    places = [(order.index(cause.verdict), -cause.confidence) for cause in causes]
    assert places == sorted(places)


@pytest.mark.parametrize("kind", Evidence)
def test_what_is_missing_is_named_with_its_remedy(kind: Evidence) -> None:
    """No evidence but an empty log: every rule that needs more says what, and how to give it."""
    needing = {rule.id for rule in RULES if kind in rule.needs and kind is not Evidence.LOG}

    for cause in judge(case_of()):
        if cause.id in needing:
            assert cause.verdict is Verdict.UNTESTABLE
            assert f"Missing: {kind.value}; {REMEDIES[kind]}." in cause.decision.evidence


def test_flags_are_the_remedy_for_what_a_log_cannot_hold() -> None:
    assert "--config" in REMEDIES[Evidence.CONFIG]
    assert "--data" in REMEDIES[Evidence.DATA]
    assert "--model" in REMEDIES[Evidence.MODEL]


def test_on_a_healthy_log_nothing_is_suspected() -> None:
    losses = [3.2 - 0.02 * step for step in range(50)]
    case = case_of(
        losses,
        val_loss=[loss + 0.02 for loss in losses],
        grad_norm=[1.0 + 0.01 * (step % 7) for step in range(50)],
        step_seconds=[0.1] * 50,
        loss_scale=[1024.0] * 50,
        config=dict(recorded_case().config.values),
    )

    assert [cause.id for cause in judge(case) if cause.verdict is Verdict.SUPPORTED] == []


values = (
    st.none()
    | st.sampled_from([0.0, NAN, math.inf, -math.inf, HUGE, 1e-300])
    | st.floats(0.001, 20.0)
)
counts = st.integers(1, 4096)
settings_of = st.fixed_dictionaries(
    {},
    optional={
        "block_size": counts,
        "batch_size": counts,
        "accumulation": counts,
        "learning_rate": st.floats(1e-9, 10.0),
        "schedule": st.sampled_from(["constant", "linear", "cosine", "polynomial"]),
        "warmup": st.integers(0, 100) | st.floats(0, 0.9),
        "total_steps": st.integers(1, 10_000),
        "clip_norm": st.none() | st.floats(0.01, 10.0),
        "rank": counts,
        "dropout": st.floats(0, 0.9),
        "target_modules": st.sampled_from(["c_attn", "c_attn+c_proj+c_fc", "q_proj", ""]),
        "train_also": st.sampled_from(["", "embeddings", "embeddings+norms"]),
        "vocab_size": st.integers(1, 200_000),
        "hidden_size": counts,
        "num_layers": counts,
        "num_heads": counts,
        "trained_parameters": st.integers(0, 10**9),
        "pretrained": st.booleans(),
    },
)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    names = draw(
        st.sets(
            st.sampled_from(
                [
                    "train_loss",
                    "val_loss",
                    "learning_rate",
                    "grad_norm",
                    "step_seconds",
                    "loss_scale",
                    "epoch",
                ]
            )
        )
    )
    steps = sorted(draw(st.sets(st.integers(0, 5000), max_size=12)))
    return Curve(
        tuple(Point(s, s * 8, **{name: draw(values) for name in sorted(names)}) for s in steps)
    )


@st.composite
def findings_of(draw: st.DrawFn) -> tuple[Finding, ...]:
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=4))
    return tuple(draw_finding(draw, kind) for kind in kinds)


def draw_finding(draw: st.DrawFn, kind: FindingKind) -> Finding:
    start = draw(st.integers(0, 5000))
    numbers = draw(
        st.dictionaries(
            st.sampled_from(["level", "noise_nats", "ratio", "before_s", "after_s", "gl_percent"]),
            st.floats(),
        )
    )
    return Finding(
        kind,
        start,
        start + draw(st.integers(0, 5000)),
        draw(st.floats()),
        draw(st.sampled_from([None, True, False])),
        "a finding",
        numbers,
    )


@settings(deadline=None, derandomize=True)
@given(
    curves(),
    findings_of(),
    settings_of,
    st.none() | st.builds(corpus_of, num_tokens=st.integers(1, 10**9), is_exact=st.booleans()),
    st.none()
    | st.builds(
        ModelFacts,
        st.just("base"),
        st.integers(0, 100_000),
        st.none() | counts,
        st.none() | st.floats(0, 10),
        st.none() | counts,
        st.none() | st.booleans(),
    ),
    st.lists(st.integers(0, 5000), max_size=3),
)
def test_every_rule_answers_any_case(
    curve: Curve,
    findings: tuple[Finding, ...],
    config: Mapping[str, object],
    corpus: CorpusFacts | None,
    model: ModelFacts | None,
    restarts: list[int],
) -> None:
    log = Log("run.csv", "CSV", curve, restart_steps=tuple(sorted(restarts)))

    check_answers(Case(log, findings, RunConfig(config), corpus, model))
