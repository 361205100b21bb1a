"""A trial's hyperparameters as YAML that can stand in a study file."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from sweeper.reports import words
from sweeper.search.results import TrialResult


def recipe_yaml(trial: TrialResult) -> str:
    """The `baseline:` block that would train this trial's recipe."""
    values = {
        str(name): plain(trial.hyperparameters[name])
        for name in words.in_reading_order(trial.hyperparameters)
    }
    block = {"baseline": {"hyperparameters": values}}
    return yaml.safe_dump(block, sort_keys=False, default_flow_style=False, width=100)


def plain(value: object) -> object:
    """A value that YAML and JSON can write without tags."""
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float):  # also strips subclasses, which YAML would refuse
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return str(value)
