from __future__ import annotations

import pytest

from sweeper.diagnosis.case import Case, ModelFacts
from tests.diagnosis.rules.cases import answer, case_of, told

PRETRAINED = {"pretrained": True, "vocab_size": 50257}


def model(**facts: object) -> ModelFacts:
    usual: dict[str, object] = {"source": "base", "vocab_size": 50257, "hidden_size": 768}
    return ModelFacts(**(usual | facts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of([10.9], config=PRETRAINED), "supported: The base counts as pretrained"),
        (case_of([9.0], config=PRETRAINED), "the limit 8.66 (0.8 ln 50,257)"),
        (case_of([3.4], config=PRETRAINED), "contradicted: The base counts as pretrained"),
        (case_of([9.0], config={"pretrained": True}), "the limit 7.00"),
        (case_of([9.0], model=model(looks_untrained=False)), "not those on disk"),
        (case_of([9.0], config={"pretrained": False}), "contradicted: The run was meant to start"),
        (case_of([9.0], model=model(looks_untrained=True)), "contradicted: The run was meant"),
        (case_of([9.0]), "untestable: pretrained is not known: give it with --config"),
        (case_of([9.0], steps=[900], config=PRETRAINED), "untestable: The log shows no loss"),
        (
            case_of([9.0], model=model(missing=("h.0.w", "h.1.w", "h.2.w", "h.3.w"))),
            "supported: 4 tensors that the configuration implies are not in the files "
            "(h.0.w, h.1.w, h.2.w, ...)",
        ),
    ],
)
def test_weights_not_loaded(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "weights-not-loaded"))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of([3.4], model=model(tokenizer_size=50300)), "supported: The tokenizer has 50,300"),
        (case_of([3.4], model=model(tokenizer_size=50257)), "contradicted: The loss is 3.4000"),
        (case_of([3.4]), "contradicted: The loss is 3.4000 at step 0: the base can read"),
        (case_of([9.2]), "supported: The loss is 9.2000 at step 0, which a pretrained base also"),
        (case_of([9.2], model=model()), "supported: The loss is 9.2000 at step 0, above what any"),
        (case_of([10.9], model=model()), "contradicted: The loss is 10.9000 at step 0, within"),
        (case_of([9.2], steps=[5000]), "untestable: The log shows no loss"),
    ],
)
def test_tokenizer_mismatch(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "tokenizer-mismatch"))


def test_ids_without_a_row_are_a_proof_and_a_start_is_a_suspicion() -> None:
    proof = answer(case_of([3.4], model=model(tokenizer_size=50300)), "tokenizer-mismatch")
    suspect = answer(case_of([9.2]), "tokenizer-mismatch")

    assert proof.confidence >= 0.95
    assert suspect.confidence < 0.5
