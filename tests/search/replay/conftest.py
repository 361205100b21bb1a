"""One bank for all: nothing changes it, and it takes half a second to make."""

from __future__ import annotations

import pytest

from sweeper.search.replay.bank import Bank
from tests.search.replay.banks import new_bank, new_spec


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    return new_bank(new_spec(tmp_path_factory.mktemp("bank")))
