"""The marks of a workbench: taken on its own predictions, kept once."""

from __future__ import annotations

import math
from pathlib import Path

from sweeper.diagnosis.floors import FLOORS_FILE, read_floors
from sweeper.training.floors import record_floors, take_floors
from sweeper.training.peft_engine import PeftEngine
from sweeper.training.workbench import Workbench
from tests import tiny


def test_marks_of_fresh_weights(bench: Workbench, engine: PeftEngine) -> None:
    floors = take_floors(bench)
    assert (floors.vocabulary, floors.looks_untrained) == (tiny.VOCABULARY, True)
    assert floors.num_predictions == bench.validation.num_targets
    assert 0 < floors.bigram_nats < floors.unigram_nats < math.log(tiny.VOCABULARY)
    engine.start(tiny.RECIPE, 0)
    assert floors.is_blind(engine.evaluate(bench.validation))
    engine.finish()


def test_marks_are_kept_until_the_ground_is_another(bench: Workbench, tmp_path: Path) -> None:
    record_floors(bench, tmp_path)
    kept = read_floors(tmp_path)
    assert kept is not None
    path = tmp_path / FLOORS_FILE
    path.write_text(kept.model_copy(update={"model": "kept"}).model_dump_json())
    record_floors(bench, tmp_path)
    assert read_floors(tmp_path) == kept.model_copy(update={"model": "kept"})
    path.write_text(kept.model_copy(update={"ground": "another"}).model_dump_json())
    record_floors(bench, tmp_path)
    assert read_floors(tmp_path) == kept
