"""A worker on a cluster's machine: what it is told, what it answers, and with whom it leaves."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import pytest

from sweeper.search.workers import clusters, outpost
from sweeper.search.workers.clusters import cluster_of
from sweeper.search.workers.orders import WorkOrder, WorkReport
from sweeper.search.workers.outpost import Mission, kept_fresh, send_out
from sweeper.search.workers.pool import nursery_of
from sweeper.training.setup import PrecisionChoice, Setup
from tests.search.fakes import spec_at
from tests.search.work import report_mission


def order_at(folder: Path) -> WorkOrder:
    setup = Setup(2, 3, PrecisionChoice("fp32", "measured", {"fp32": 1.5}))
    spec = spec_at(folder)
    return WorkOrder(spec, setup, 1e9, folder / "stop", None, nursery_of(spec, 2))


def test_an_order_survives_the_way(tmp_path: Path) -> None:
    order = order_at(tmp_path)
    sent = json.dumps(asdict(Mission.of(order, tmp_path / "fresh")))
    assert Mission(**json.loads(sent)).order() == order


def test_what_a_worker_meets_comes_back_as_a_value(tmp_path: Path) -> None:
    report = send_out(Mission.of(order_at(tmp_path), tmp_path / "fresh"))

    assert report.exit_code == 1
    assert report.error is not None
    assert report.error.startswith("small has not been run yet")


def test_a_worker_that_dies_is_told_from_one_that_ends_by_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")

    report = send_out(Mission.of(order_at(tmp_path), tmp_path / "fresh"))

    assert report == WorkReport.of_death("a worker died without a word (0)")


def test_a_worker_leaves_when_the_run_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(outpost, "STALE_SECONDS", 0.05)
    monkeypatch.setattr(outpost, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(outpost, "tell_to_stop", lambda: told.append(True))

    with kept_fresh(tmp_path / "fresh"):
        assert (tmp_path / "fresh").exists()
    assert not (tmp_path / "fresh").exists()
    outpost._leave_with_the_run(tmp_path / "fresh")

    assert told == [True]


def test_what_goes_wrong_while_connected_is_told_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "_dask", nullcontext)
    spec = spec_at(tmp_path, workers={"backend": "dask", "address": "tcp://head:8786"})

    with pytest.raises(OSError, match="no space"), cluster_of(spec):
        raise OSError("no space")


def test_dask_starts_a_worker_for_each_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    monkeypatch.setattr(clusters, "send_out", report_mission)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(processes=False, **options) as cluster:
        workers = {"backend": "dask", "address": cluster.scheduler_address, "count": "auto"}
        spec = spec_at(tmp_path, workers=workers)
        order = WorkOrder(spec, Setup(1), None, tmp_path / "stop", None)

        with cluster_of(spec) as connected:
            assert connected is not None
            assert connected.count_workers() == (2, 1)
            reports = connected.run(Mission.of(order, tmp_path / "fresh"), 2)

    assert reports == [WorkReport(f"would have worked on {spec.path}", 7)] * 2
