"""What recipes of one study share, and what is refused before any of them is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sweeper.data import IGNORED_TARGET
from sweeper.errors import BaseError, DataError
from sweeper.training.workbench import Workbench, lay_out
from tests import tiny


def test_workbench_is_the_same_each_time(bench: Workbench, ground_folder: Path) -> None:
    again = tiny.new_bench(ground_folder)
    assert again.corpus_fingerprint == bench.corpus_fingerprint
    assert again.stream(5).fingerprint == bench.stream(5).fingerprint
    assert again.stream(5) is not bench.stream(5)
    np.testing.assert_array_equal(again.validation.inputs, bench.validation.inputs)
    assert bench.num_documents == 40


def test_validation_takes_whole_blocks_up_to_its_cap(bench: Workbench) -> None:
    assert bench.validation.inputs.shape == (6, 16)
    evaluate = bench.ground.evaluate.model_copy(update={"tokens": 95})
    fewer = lay_out(replace(bench.ground, evaluate=evaluate), bench.base, bench.device)
    assert fewer.validation.inputs.shape == (5, 16)


def test_test_documents_judge_where_asked_and_train_nowhere(bench: Workbench) -> None:
    def laid_out(**evaluate: object) -> Workbench:
        ground = replace(
            bench.ground,
            data=bench.ground.data.model_copy(update={"test": 0.1}),
            evaluate=bench.ground.evaluate.model_copy(update=evaluate),
        )
        return lay_out(ground, bench.base, bench.device)

    searching, judging = laid_out(), laid_out(split="test")
    np.testing.assert_array_equal(searching.validation.inputs, bench.validation.inputs)
    assert judging.validation.inputs.shape == bench.validation.inputs.shape
    assert not np.array_equal(judging.validation.inputs, bench.validation.inputs)
    assert judging.stream(5).fingerprint == searching.stream(5).fingerprint
    assert len(searching.tokenized.names) < len(bench.tokenized.names)


def test_test_side_without_a_block_is_refused_before_the_search(bench: Workbench) -> None:
    data = bench.ground.data.model_copy(update={"test": 1e-6})
    evaluate = bench.ground.evaluate.model_copy(update={"block_size": 60})
    with pytest.raises(DataError, match=r"the test set has .* give test a larger share"):
        lay_out(replace(bench.ground, data=data, evaluate=evaluate), bench.base, bench.device)


def test_loss_on_answers_leaves_out_the_questions(tmp_path: Path) -> None:
    whole = tiny.new_bench(tmp_path)
    answers = tiny.new_bench(tmp_path, loss_on="answers")
    np.testing.assert_array_equal(answers.validation.inputs, whole.validation.inputs)
    counted = answers.validation.targets != IGNORED_TARGET
    assert 0 < counted.sum() < (whole.validation.targets != IGNORED_TARGET).sum()
    expected = whole.validation.targets[counted]
    np.testing.assert_array_equal(answers.validation.targets[counted], expected)


def test_blocks_longer_than_the_positions_are_refused(bench: Workbench) -> None:
    bench.check_block_size(64)
    with pytest.raises(BaseError, match=r"block_size: 65 .* the 64 positions .*allowed: up to 64"):
        bench.check_block_size(65)
    evaluate = bench.ground.evaluate.model_copy(update={"block_size": 65, "tokens": None})
    with pytest.raises(BaseError, match="65 is more than the 64 positions"):
        lay_out(replace(bench.ground, evaluate=evaluate), bench.base, bench.device)


def test_corpus_too_small_for_a_block_is_refused(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "qa.md").write_text("Q: a?\nA: b\n\nQ: c?\nA: d\n")
    with pytest.raises(DataError, match=r"validation set has .* tokens"):
        tiny.new_bench(tmp_path)
