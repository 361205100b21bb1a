"""A real passage of garbage, met by a calm recipe on either engine."""

from __future__ import annotations

import random

import pytest

from sweeper.curves import Stop, StopReason
from sweeper.training.examination import Change, SpikeCause
from sweeper.training.manifest import EngineName
from sweeper.training.packs import new_pack
from sweeper.training.spike_replay import examine_spike
from sweeper.training.trial import plan_run, run_plan
from sweeper.training.watches import Lookout
from sweeper.training.workbench import Workbench
from tests import tiny
from tests.training.conftest import never

RECIPE = tiny.recipe(learning_rate=1e-3, schedule="constant", seed=25)
GARBAGE_CHARACTERS = 600  # nine steps of 64 tokens: two other batches would not be enough
SPIKE = Stop(StopReason.SPIKE, "it lasted")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """A base that knows its corpus but for one answer, which is random symbols."""
    folder = tmp_path_factory.mktemp("poisoned")
    garbage = "".join(random.Random(1).choices("~|^{}<>@$&%#=+*", k=GARBAGE_CHARACTERS))
    text = f"Q: What is garbage?\nA: {garbage}\n\n{tiny.qa_text(150)}\n"
    (folder / "qa.md").write_text(text, "utf-8")
    tiny.write_trained_base(folder / "base")
    return tiny.new_bench(folder, every_tokens=320)


def first_garbage(bench: Workbench) -> tuple[str, int]:
    """The document of symbols, and the step in whose batch it begins."""
    position = 0
    for location, length in bench.stream(25).passages(0, 4_000):
        if length > GARBAGE_CHARACTERS:
            return location.name, position // RECIPE.tokens_per_step + 1
        position += length
    raise AssertionError("no garbage in the first 4,000 tokens")


@pytest.mark.parametrize("engine", ["peft", "packed"])
def test_a_passage_of_garbage_is_a_bad_batch(bench: Workbench, engine: EngineName) -> None:
    name, first_step = first_garbage(bench)
    run = bench.ground.folder / "runs" / engine
    plan = plan_run(bench, RECIPE, 10_000, run, engine=engine)
    watch = Lookout((first_step + 5, SPIKE))
    run_plan(plan, bench, new_pack(engine, bench).seats[0], watch, never, run)
    found = examine_spike(run)
    assert found.cause is SpikeCause.BATCH
    assert found.repeats_exactly
    assert first_step <= found.onset_step <= first_step + 1
    assert found.checkpoint_step > 0
    assert found.replaced_until_step is not None
    assert found.replaced_until_step >= first_step + 8
    assert found.documents[0].name == name
    assert found.other_document_losses is not None
    assert found.documents[0].loss > found.other_document_losses[1]
    assert all(e.height == 0 for e in found.experiments if e.change is Change.BATCH)
