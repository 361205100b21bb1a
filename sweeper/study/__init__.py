"""The study file: what may stand in it, how it is read, and what makes it the same study."""

from __future__ import annotations

from sweeper.study.engine import CommandEngine
from sweeper.study.hyperparameters import (
    INTEGER_HYPERPARAMETERS,
    REAL_HYPERPARAMETERS,
    WORD_HYPERPARAMETERS,
    Hyperparameters,
    HyperparameterValue,
    experiment_key,
    experiment_values,
    warmup_steps,
    with_changes,
)
from sweeper.study.identity import identity_differences
from sweeper.study.json_schema import study_json_schema
from sweeper.study.loading import load_study
from sweeper.study.recipe import read_recipe, recipe_from
from sweeper.study.rungs import Rungs
from sweeper.study.sections import (
    BaselineSpec,
    BudgetSpec,
    DataSpec,
    EvaluateSpec,
    Expectation,
    HangRule,
    Hypothesis,
    PlateauRule,
    PruneSpec,
    SearchSpec,
    SpikeRule,
    WorkersSpec,
)
from sweeper.study.space import Choice, Dimension, Range
from sweeper.study.spec import StudySpec, identity, spec_from_plain, spec_to_plain
from sweeper.study.verify import VerifySpec

__all__ = [
    "INTEGER_HYPERPARAMETERS",
    "REAL_HYPERPARAMETERS",
    "WORD_HYPERPARAMETERS",
    "BaselineSpec",
    "BudgetSpec",
    "Choice",
    "CommandEngine",
    "DataSpec",
    "Dimension",
    "EvaluateSpec",
    "Expectation",
    "HangRule",
    "HyperparameterValue",
    "Hyperparameters",
    "Hypothesis",
    "PlateauRule",
    "PruneSpec",
    "Range",
    "Rungs",
    "SearchSpec",
    "SpikeRule",
    "StudySpec",
    "VerifySpec",
    "WorkersSpec",
    "experiment_key",
    "experiment_values",
    "identity",
    "identity_differences",
    "load_study",
    "read_recipe",
    "recipe_from",
    "spec_from_plain",
    "spec_to_plain",
    "study_json_schema",
    "warmup_steps",
    "with_changes",
]
