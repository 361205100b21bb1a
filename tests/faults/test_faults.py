"""Lets every fault happen: a few times in each run of the tests, often in `make faults`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.field import Field
from tests.faults.table import FAULTS, Fault

QUICK = [fault for fault in FAULTS if fault.quick]
Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def field(tmp_path: Path, shared: Path) -> Field:
    return Field(tmp_path, shared)


@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.name)
def test_a_study_survives(fault: Fault, field: Field) -> None:
    tally = fault.strike(field, fault.quick)
    assert tally.strikes == fault.quick
    assert tally.studies > 0


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_study_survives_often(fault: Fault, field: Field, record_property: Record) -> None:
    strikes = min(fault.strikes, int(os.environ.get("FAULTS_AT_MOST", fault.strikes)))
    tally = fault.strike(field, strikes)
    record_property("tally", tally)
    assert tally.strikes >= strikes
    assert tally.studies > 0
