"""Reading trials, thousands at once: a table at a time, where Optuna makes an object of each row.

A study of 10,000 trials has some 250,000 rows. Optuna's way through an object for each takes seven
seconds of CPU, this one and a half. It stands in the place of the cache that Optuna puts before a
database (an ended trial is read once); all else is Optuna's own.
"""

from __future__ import annotations

import copy
import json
import math
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import (
    BindParameter,
    Connection,
    DateTime,
    Row,
    Select,
    TableClause,
    bindparam,
    column,
    insert,
    select,
    table,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

_MOST_IDS = 500  # in one query; SQLite and PostgreSQL allow some ten thousand
_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}

# Optuna's tables, as its version 3 made them and its later ones keep them. The first column of a
# part is its own id, by which its rows have the order in which they were written.
_TRIALS = table(
    "trials",
    *map(column, ("trial_id", "number", "study_id", "state")),
    *(column(name, DateTime()) for name in ("datetime_start", "datetime_complete")),
)
_PARAMS = table(
    "trial_params",
    *map(column, ("param_id", "trial_id", "param_name", "param_value", "distribution_json")),
)
_VALUES = table(
    "trial_values", *map(column, ("trial_value_id", "trial_id", "objective", "value", "value_type"))
)
_INTERMEDIATE_VALUES = table(
    "trial_intermediate_values",
    *map(
        column,
        (
            *("trial_intermediate_value_id", "trial_id"),
            *("step", "intermediate_value", "intermediate_value_type"),
        ),
    ),
)
_USER_ATTRIBUTES = table(
    "trial_user_attributes",
    *map(column, ("trial_user_attribute_id", "trial_id", "key", "value_json")),
)
_SYSTEM_ATTRIBUTES = table(
    "trial_system_attributes",
    *map(column, ("trial_system_attribute_id", "trial_id", "key", "value_json")),
)


def read_swiftly(storage: BaseStorage) -> BaseStorage:
    """The same storage, which reads all trials of a study faster where it is a database."""
    if not isinstance(storage, RDBStorage):
        return storage
    return cast(BaseStorage, _SwiftStorage(storage))


@dataclass
class _Known:
    """What was read of a study.

    Attributes:
        trials: By number.
        unfinished: Ids of those that may have changed since.
        newest: The highest id of an ended trial; what is new comes after it.
    """

    trials: dict[int, FrozenTrial] = field(default_factory=dict)
    unfinished: set[int] = field(default_factory=set)
    newest: int = -1


class _SwiftStorage:
    """Optuna's storage of a database, but for how it reads trials; of all, an ended one once."""

    def __init__(self, storage: RDBStorage) -> None:
        self._storage = storage
        self._engine = storage.engine
        self._known: dict[int, _Known] = {}
        self._lock = threading.Lock()
        # With the last connection SQLite empties its log, without which the file is not the study.
        weakref.finalize(self, storage.engine.dispose)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """See optuna's BaseStorage."""
        with self._lock:
            known = self._known.get(study_id)
            if known is None:
                self._storage.get_study_name_from_id(study_id)  # KeyError where there is none
                known = self._known[study_id] = _Known()
            self._refresh(known, study_id)
            trials = [known.trials[number] for number in sorted(known.trials)]
        found = [trial for trial in trials if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """See optuna's BaseStorage."""
        with self._reading() as connection:
            rows = [*connection.execute(select(_TRIALS).where(_TRIALS.c.trial_id == trial_id))]
            trials = [*_read(connection, rows)]
        if not trials:
            raise KeyError(f"there is no trial of id {trial_id}")
        return trials[0]

    def get_n_trials(
        self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None
    ) -> int:
        """See optuna's BaseStorage."""
        states = (state,) if isinstance(state, TrialState) else state
        return len(self.get_all_trials(study_id, deepcopy=False, states=states))

    def set_trial_user_attrs(self, trial_id: int, values: Mapping[str, Any]) -> None:
        """See `together`."""
        try:
            with self._engine.begin() as connection:
                state = connection.scalar(
                    select(_TRIALS.c.state).where(_TRIALS.c.trial_id == trial_id)
                )
                if state is None:
                    raise KeyError(f"there is no trial of id {trial_id}")
                if TrialState[state].is_finished():
                    raise UpdateFinishedTrialError(f"trial of id {trial_id} has ended")
                _upsert(connection, trial_id, values)
        except SQLAlchemyError as error:
            raise StorageInternalError(f"attributes could not be written: {error}") from error

    def _refresh(self, known: _Known, study_id: int) -> None:
        """By ids, as Optuna does: no trial that is made later has a lower one."""
        with self._reading() as connection:
            rows = [*_changed(connection, study_id, known)]
            trials = [*_read(connection, rows)]
        for row, trial in zip(rows, trials, strict=True):
            known.trials[trial.number] = trial
            if trial.state.is_finished():
                known.unfinished.discard(row.trial_id)
                known.newest = max(known.newest, row.trial_id)
            else:
                known.unfinished.add(row.trial_id)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StorageInternalError(f"the trials could not be read: {error}") from error


def _upsert(connection: Connection, trial_id: int, values: Mapping[str, Any]) -> None:
    of_trial = _USER_ATTRIBUTES.c.trial_id == trial_id
    there = set(connection.scalars(select(_USER_ATTRIBUTES.c.key).where(of_trial)))
    for key, value in values.items():
        value_json = json.dumps(value)
        if key in there:
            same_key = _USER_ATTRIBUTES.c.key == key
            change = update(_USER_ATTRIBUTES).where(of_trial, same_key)
            connection.execute(change.values(value_json=value_json))
        else:
            row = {"trial_id": trial_id, "key": key, "value_json": value_json}
            connection.execute(insert(_USER_ATTRIBUTES).values(row))


def _changed(connection: Connection, study_id: int, known: _Known) -> Iterator[Row[Any]]:
    """Rows of the trials that are new, or had not ended when they were read last."""
    of_study = select(_TRIALS).where(_TRIALS.c.study_id == study_id)
    for ids in _chunks(sorted(known.unfinished)):
        yield from connection.execute(of_study.where(_TRIALS.c.trial_id.in_(ids)))
    newer = of_study.where(_TRIALS.c.trial_id > known.newest).order_by(_TRIALS.c.trial_id)
    # An unfinished one may be newer than the newest that has ended: it is there already.
    yield from (r for r in connection.execute(newer) if r.trial_id not in known.unfinished)


def _read(connection: Connection, rows: Sequence[Row[Any]]) -> Iterator[FrozenTrial]:
    for some in _chunks(rows):
        ids = [row.trial_id for row in some]
        params = _by_trial(connection, _PARAMS, ids)
        losses = _by_trial(connection, _VALUES, ids)
        reported = _by_trial(connection, _INTERMEDIATE_VALUES, ids)
        user_attrs = _by_trial(connection, _USER_ATTRIBUTES, ids)
        system_attrs = _by_trial(connection, _SYSTEM_ATTRIBUTES, ids)
        for row in some:
            at = row.trial_id
            dists = {name: _distribution(text) for _, _, name, _, text in params[at]}
            yield FrozenTrial(
                number=row.number,
                state=TrialState[row.state],
                value=None,
                values=_objectives(losses[at]),
                datetime_start=row.datetime_start,
                datetime_complete=row.datetime_complete,
                params={
                    name: dists[name].to_external_repr(value) for _, _, name, value, _ in params[at]
                },
                distributions=dists,
                user_attrs=_attributes(user_attrs[at]),
                system_attrs=_attributes(system_attrs[at]),
                intermediate_values={
                    step: _number(value, kind) for _, _, step, value, kind in reported[at]
                },
                trial_id=at,
            )


def _by_trial(
    connection: Connection, part: TableClause, ids: Sequence[int]
) -> Mapping[int, list[Any]]:
    """A part's rows of some trials, in the order in which they were written."""
    found: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(_rows_of_some(part), {"ids": ids}):
        found[row[1]].append(row)
    return found


@cache
def _rows_of_some(part: TableClause) -> Select[Any]:
    """Built once: to build it takes as long as to run it."""
    ids: BindParameter[Any] = bindparam("ids", expanding=True)
    return select(part).where(part.c.trial_id.in_(ids)).order_by(next(iter(part.c)))


def _objectives(rows: Sequence[Any]) -> list[float] | None:
    by_objective = {objective: _number(value, kind) for _, _, objective, value, kind in rows}
    return [by_objective[objective] for objective in sorted(by_objective)] or None


def _number(value: float | None, kind: str) -> float:
    return _NOT_FINITE[kind] if value is None or kind in _NOT_FINITE else value


def _attributes(rows: Sequence[Any]) -> dict[str, Any]:
    return {key: json.loads(text) for _, _, key, text in rows}


_distribution: Callable[[str], BaseDistribution] = cache(json_to_distribution)


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + _MOST_IDS] for start in range(0, len(items), _MOST_IDS))
