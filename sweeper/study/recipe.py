"""A single recipe outside any study: from a file, from words, from the environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from sweeper.errors import UsageError
from sweeper.study.document import read_document, value_of
from sweeper.study.hyperparameters import Hyperparameters, with_changes
from sweeper.study.problems import issues_of


def read_recipe(path: Path) -> Hyperparameters:
    """Read a `recipe.yaml`: hyperparameters by name, the others at their defaults.

    Raises:
        StudyFileError: It is not YAML.
        UsageError: It is no mapping of hyperparameters.
    """
    document = read_document(path)
    if document.problems:
        raise UsageError("\n".join(map(str, document.problems)))
    return _changed(Hyperparameters(), document.data, str(path))


def recipe_from(
    recipe: Hyperparameters, settings: Sequence[str], environment: Mapping[str, str]
) -> Hyperparameters:
    """A recipe with changes from the environment, then from `NAME=VALUE` settings.

    Args:
        recipe: What is changed.
        settings: Such as `learning_rate=1e-3`.
        environment: Variables by their upper-case names, such as `LEARNING_RATE`;
            others are ignored.

    Raises:
        UsageError: A name or a value does not fit.
    """
    names = Hyperparameters.model_fields
    named = {name: environment[name.upper()] for name in names if name.upper() in environment}
    recipe = _changed(recipe, {k: _value(k.upper(), v) for k, v in named.items()}, "environment")
    changes = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: allowed is NAME=VALUE, such as learning_rate=1e-3")
        changes[name.strip()] = _value(name, text)
    return _changed(recipe, changes, "--set")


def _value(name: str, text: str) -> object:
    value, problems = value_of(text)
    if problems:
        raise UsageError(f"{name}: {'; '.join(problems)}")
    return value


def _changed(
    recipe: Hyperparameters, changes: Mapping[str, object], source: str
) -> Hyperparameters:
    try:
        return with_changes(recipe, changes)
    except ValidationError as error:
        issues = issues_of(error, sorted(Hyperparameters.model_fields))
        lines = [f"{source}  {'.'.join(map(str, i.path))}: {i.message}" for i in issues]
        raise UsageError("\n".join(lines)) from error
