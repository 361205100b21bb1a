"""What `precision: auto` comes to, for speeds and losses that a test makes up."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweeper.curves import StopReason
from sweeper.data import Blocks
from sweeper.training import precision
from sweeper.training.manifest import read_manifest
from sweeper.training.precision import choose_precision, precision_on
from sweeper.training.setup import PrecisionChoice
from sweeper.training.trial import plan_run
from sweeper.training.workbench import Workbench
from tests import tiny
from tests.training.conftest import Runner, every

AUTO = tiny.recipe(precision="auto")


@pytest.fixture(autouse=True)
def measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SWEEPER_CACHE", str(tmp_path / "cache"))
    choose_precision.cache_clear()
    yield
    choose_precision.cache_clear()


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes up how long things take, and by how much bf16 shifts the base's loss."""

    def pretend(product: float, step: float, shift_nats: float, small: float = 1.0) -> None:
        def step_ms(engine: Any, device: Any, p: str, num_tokens: int, block_size: int) -> float:
            if p == "fp32":
                return 1.0
            return small if num_tokens <= 128 else step

        monkeypatch.setattr(
            precision,
            "_product_ms",
            lambda base, device, dtype: product if "bfloat16" in str(dtype) else 1.0,
        )
        monkeypatch.setattr(precision, "_step_ms", step_ms)
        monkeypatch.setattr(
            precision, "_base_loss", lambda engine, p, blocks: 5.0 + shift_nats * (p == "bf16")
        )

    return pretend


@pytest.mark.parametrize(
    ("product", "step", "shift_nats", "expected", "reason"),
    [
        (0.5, 0.6, 0.001, "bf16", "the base's loss shifts by 0.0010 nats"),
        (2.5, 0.1, 0.0, "fp32", "a matrix product takes 1.00 ms in fp32, 2.50 ms in bf16"),
        (1.5, 0.6, 0.001, "bf16", "a step takes 1.00 ms in fp32, 0.60 ms in bf16"),
        (0.5, 0.95, 0.0, "fp32", "a step takes 1.00 ms in fp32, 0.95 ms in bf16"),
        (0.5, 0.5, 0.006, "fp32", "bf16 shifts the base's loss by 0.0060 nats"),
        (0.5, 0.5, -0.006, "fp32", "shifts"),
        (0.5, 0.5, float("nan"), "fp32", "shifts"),
    ],
)
def test_bf16_has_to_be_faster_and_accurate(
    bench: Workbench,
    pretend: Any,
    product: float,
    step: float,
    shift_nats: float,
    expected: str,
    reason: str,
) -> None:
    pretend(product, step, shift_nats)
    choice = precision_on(bench)
    assert choice.precision == expected
    assert reason in choice.reason
    assert set(choice.product_ms) == {"fp32", "bf16"}


@pytest.mark.parametrize(("small", "expected"), [(1.1, "bf16"), (1.4, "fp32")])
def test_small_steps_may_not_lose_what_large_ones_gain(
    bench: Workbench, pretend: Any, small: float, expected: str
) -> None:
    pretend(0.5, 0.6, 0.001, small)
    choice = precision_on(bench)
    assert choice.precision == expected
    said = "a step of 128 tokens takes 1.00 ms in fp32, 1.40 ms in bf16"
    assert (choice.reason == said) == (expected == "fp32")


def test_it_is_really_measured(bench: Workbench) -> None:
    choice = precision_on(bench)
    assert choice.precision in {"fp32", "bf16"}
    assert all(ms > 0 for ms in choice.product_ms.values())


def test_steps_and_losses_are_really_measured(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "LEAST_GAIN", 0.0)
    monkeypatch.setattr(precision, "MOST_PRODUCT_LOSS", math.inf)
    monkeypatch.setattr(precision, "MOST_SMALL_STEP_LOSS", math.inf)
    choice = precision_on(bench)
    assert choice.precision == "bf16"
    assert all(ms > 0 for ms in choice.step_ms.values())
    assert choice.base_loss["bf16"] == pytest.approx(choice.base_loss["fp32"], abs=5e-3)
    assert choice.base_loss["bf16"] != choice.base_loss["fp32"]


def test_a_device_is_measured_once_for_a_base_and_a_corpus(bench: Workbench, pretend: Any) -> None:
    pretend(0.5, 0.6, 0.0)
    first = precision_on(bench)
    pretend(2.5, 2.0, 0.0)
    choose_precision.cache_clear()  # another process
    assert precision_on(bench) == first
    fewer = Blocks(bench.validation.inputs[1:], bench.validation.targets[1:])
    assert choose_precision(bench.base, bench.device, fewer).precision == "fp32"
    on_more = replace(bench.device, threads=bench.device.threads + 1)
    assert choose_precision(bench.base, on_more, bench.validation).precision == "fp32"


def test_choice_of_the_study_is_not_measured_again(bench: Workbench) -> None:
    decided = PrecisionChoice("bf16", "the study said so")
    assert precision_on(replace(bench, precision=decided)) is decided


def test_manifest_has_the_numbers_and_a_resumed_run_keeps_the_choice(
    bench: Workbench, tmp_path: Path
) -> None:
    first = replace(bench, precision=PrecisionChoice("bf16", "measured", {"fp32": 2.0}))
    run = Runner(first, first.new_engine())
    run(tmp_path, AUTO, interrupt=every(3))
    plan = read_manifest(tmp_path / "manifest.json").plan
    assert plan.hyperparameters.precision == "bf16"
    assert plan.precision == first.precision
    elsewhere = replace(bench, precision=PrecisionChoice("fp32", "another machine"))
    again = plan_run(elsewhere, AUTO, 1_000, tmp_path)
    assert again.hyperparameters.precision == "bf16"
    assert again.precision == first.precision


def test_run_of_a_version_that_kept_no_choice_goes_on_in_its_precision(
    bench: Workbench, tmp_path: Path
) -> None:
    """Its manifest has the precision that `auto` came to, and nothing of why."""
    first = replace(bench, precision=PrecisionChoice("bf16", "as on a GPU that has it"))
    Runner(first, first.new_engine())(tmp_path, AUTO, interrupt=every(3))
    path = tmp_path / "manifest.json"
    old = json.loads(path.read_text())
    for name in ("engine", "slots", "precision"):
        del old["plan"][name]
    path.write_text(json.dumps(old))
    now = replace(bench, precision=PrecisionChoice("fp32", "as fast"))
    outcome = Runner(now, now.new_engine())(tmp_path, AUTO)
    assert outcome.stop.reason is StopReason.COMPLETED
    plan = read_manifest(path).plan
    assert (plan.hyperparameters.precision, plan.precision) == ("bf16", None)


def test_recipe_that_says_its_precision_has_no_choice(bench: Workbench, tmp_path: Path) -> None:
    plan = plan_run(bench, tiny.RECIPE, 1_000, tmp_path)
    assert plan.precision is None
