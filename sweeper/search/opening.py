"""A study in Optuna's storage, made or found: that it is the file's, and what it begins with."""

from __future__ import annotations

import warnings
from typing import Any

import optuna
from optuna.storages import BaseStorage

from sweeper.errors import StorageError, StudyChangedError
from sweeper.search import attributes as attrs
from sweeper.search.drawing.prescribed import fixed_trials
from sweeper.search.drawing.proposals import Rules, new_proposer
from sweeper.search.drawing.space import as_plain, fixed_params
from sweeper.study import StudySpec, identity, identity_differences


def open_study(
    spec: StudySpec, storage: BaseStorage, rules: Rules, *, create: bool
) -> optuna.Study:
    """Optuna's study of a study file, with its prescribed trials enqueued.

    Whoever calls it holds the study's lock.

    Args:
        spec: The study.
        storage: Where it is.
        rules: What a draw must keep to.
        create: Make it where it does not exist, and enqueue what is not there yet.

    Raises:
        StorageError: It does not exist.
        StudyChangedError: It was made from another study file.
    """
    study = _found(spec, storage, rules, create)
    _check_identity(spec, study)
    if create:
        _enqueue_fixed_trials(spec, study)
    return study


def _found(spec: StudySpec, storage: BaseStorage, rules: Rules, create: bool) -> optuna.Study:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        fixed = [fixed_params(spec, trial.hyperparameters) for trial in fixed_trials(spec)]
        options: dict[str, Any] = {
            "study_name": spec.folder_name,
            "storage": storage,
            "sampler": new_proposer(spec, storage, rules, fixed),
            "pruner": optuna.pruners.NopPruner(),
        }
        try:
            if create:
                return optuna.create_study(direction="minimize", load_if_exists=True, **options)
            return optuna.load_study(**options)
        except KeyError as error:
            raise StorageError(
                f"{spec.name} is not in this storage. Next: sweeper run {spec.path.name}"
            ) from error


def _check_identity(spec: StudySpec, study: optuna.Study) -> None:
    now = identity(spec)
    stored = study.user_attrs.get(attrs.IDENTITY)
    if stored is None:
        study.set_user_attr(attrs.IDENTITY, now)
        return
    differences = identity_differences(stored, now)
    if differences:
        listed = "\n".join(f"  {line}" for line in differences)
        raise StudyChangedError(
            f"{spec.path.name} is not the file that the stored study {spec.name!r} "
            f"was made from:\n{listed}\nIts trials would not be comparable. Change the file "
            "back, give the study another name (--set name=…), or remove its folder "
            f"{spec.output_folder.parent.name}/{spec.output_folder.name}"
        )


def _enqueue_fixed_trials(spec: StudySpec, study: optuna.Study) -> None:
    """Once; a run that was killed half-way through left the first of them."""
    # By way of the study, which keeps what it reads: the storage would read all of it for a number.
    there = len(study.get_trials(deepcopy=False))
    for fixed in fixed_trials(spec)[there:]:
        study.enqueue_trial(
            fixed_params(spec, fixed.hyperparameters),
            user_attrs={
                attrs.FIXED: as_plain(fixed.hyperparameters),
                attrs.BASELINE: fixed.is_baseline,
                attrs.HYPOTHESIS: fixed.hypothesis,
            },
        )
