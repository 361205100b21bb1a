"""The study file that a diagnosis writes: where it points, and what it never overwrites."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.diagnosis.diagnose import diagnose
from sweeper.diagnosis.diagnosis import Diagnosis
from sweeper.diagnosis.emission import command_from, emit_study
from sweeper.diagnosis.gather import Request, gather
from sweeper.errors import UsageError
from sweeper.logs import LogOptions
from sweeper.study import load_study

LOG = "step,train_loss,val_loss\n" + "".join(
    f"{100 * place},{loss},{loss + 0.1:.2f}\n"
    for place, loss in enumerate((8.1, 6.2, 5.6, 5.4, 7.9, 5.5, 5.45, 5.47))
)


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    """A log in the working folder, with a configuration."""
    monkeypatch.chdir(tmp_path)
    Path("run.csv").write_text(LOG, encoding="utf-8")
    return Request(log=Path("run.csv"), config=("learning_rate=1e-3", "batch_size=4"))


def judge(request: Request) -> Diagnosis:
    return diagnose(gather(request))


def test_a_study_is_written_that_loads_and_records_the_log(request_: Request) -> None:
    emission = emit_study(judge(request_), Path("next.yaml"), request_, None)
    assert emission.is_new
    spec = load_study(emission.path)
    assert (spec.name, spec.budget.trials) == ("next", emission.num_trials)
    assert spec.baseline.recorded == "run.csv"
    assert spec.baseline.hyperparameters.batch_size == 4


def test_the_same_study_may_be_written_again_but_no_other_file_is_touched(
    request_: Request,
) -> None:
    path = Path("next.yaml")
    emit_study(judge(request_), path, request_, None)
    written = path.read_bytes()
    assert not emit_study(judge(request_), path, request_, None).is_new
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"next\.yaml: exists and differs"):
        emit_study(judge(request_), path, request_, None)
    assert path.read_text(encoding="utf-8") == "mine"
    assert b"name: next" in written


def test_paths_are_seen_from_the_study_s_folder(request_: Request) -> None:
    Path("studies").mkdir()
    Path("text.md").write_text("## Question\n\nAnswer.\n" * 9, encoding="utf-8")
    base = Path("base")
    base.mkdir()
    given = Request(log=request_.log, config=request_.config, data="text.md", model="base")
    diagnosis = judge(request_)
    spec = load_study(emit_study(diagnosis, Path("studies/next.yaml"), given, None).path)
    assert (spec.baseline.recorded, spec.data.train, spec.model) == (
        "../run.csv",
        "../text.md",
        "../base",
    )


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (".", "python train.py"),
        ("studies", "cd .. && python train.py"),
        ("a/my studies", "cd ../.. && python train.py"),
    ],
)
def test_a_command_runs_where_the_user_runs_it(folder: str, expected: str) -> None:
    assert command_from(Path(folder), "python train.py") == expected


def test_a_log_that_a_study_would_read_otherwise_is_not_recorded(request_: Request) -> None:
    options = LogOptions(columns={"train_loss": "val_loss", "val_loss": "train_loss"})
    given = Request(log=request_.log, options=options)
    spec = load_study(emit_study(judge(given), Path("next.yaml"), given, None).path)
    assert spec.baseline.recorded is None


def test_a_folder_that_is_not_there_is_a_usage_error(request_: Request) -> None:
    with pytest.raises(UsageError, match=r"no/next\.yaml: cannot be written"):
        emit_study(judge(request_), Path("no/next.yaml"), request_, None)
