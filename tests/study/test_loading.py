"""Reading whole study files: every problem at once, each at its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.errors import StudyFileError
from sweeper.study import PlateauRule, SpikeRule, load_study

from .conftest import MINIMAL, Write

GOLDEN = Path(__file__).parent / "golden"


def test_all_problems_of_a_broken_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    with pytest.raises(StudyFileError) as caught:
        load_study(Path("broken.yaml"))
    assert str(caught.value) + "\n" == Path("broken.txt").read_text(encoding="utf-8")
    assert caught.value.exit_code == 2


def test_minimal_file_gets_the_defaults(write: Write) -> None:
    spec = load_study(write(MINIMAL))
    assert (spec.seed, spec.engine, spec.storage, spec.output) == (0, "auto", "default", None)
    assert (spec.evaluate.block_size, spec.evaluate.every_tokens) == (128, 40_000)
    assert spec.prune.spike == SpikeRule(patience=0.1, threshold=6.0)
    assert spec.prune.plateau == PlateauRule(window=0.4, margin=0.1)
    assert spec.prune.peers == "off"
    assert (spec.workers.count, spec.workers.backend, spec.workers.threads) == (
        "auto",
        "loky",
        "auto",
    )
    assert spec.data.validation == 0.05
    assert spec.baseline.recorded is None
    assert spec.recorded_path is None


@pytest.mark.parametrize(
    ("prune", "spike", "plateau", "peers"),
    [
        ("{spike: default, plateau: default, peers: asha}", SpikeRule(), PlateauRule(), "asha"),
        ("{spike: off, plateau: off}", None, None, "off"),
        ("{spike: {patience: 5%}}", SpikeRule(patience=0.05), PlateauRule(), "off"),
        (
            "{plateau: {window: 0.5, margin: 0.02}}",
            SpikeRule(),
            PlateauRule(window=0.5, margin=0.02),
            "off",
        ),
        ("{}", SpikeRule(), PlateauRule(), "off"),
    ],
)
def test_prune(
    prune: str, spike: SpikeRule | None, plateau: PlateauRule | None, peers: str, write: Write
) -> None:
    got = load_study(write(f"{MINIMAL}prune: {prune}\n")).prune
    assert (got.spike, got.plateau, got.peers) == (spike, plateau, peers)


@pytest.mark.parametrize("written", ["speed > baseline", "speed>baseline", "speed  >baseline"])
def test_expectation(written: str, write: Write) -> None:
    more = f"hypotheses: [{{name: a, change: {{rank: 4}}, expect: {written}}}]\n"
    (hypothesis,) = load_study(write(MINIMAL + more)).hypotheses
    assert hypothesis.expect == "speed > baseline"
    assert hypothesis.expectation == ("speed", ">")


def test_hypothesis_without_expectation(write: Write) -> None:
    more = "hypotheses: [{name: a, change: {learning_rate: 1, rank: 4}}]\n"
    (hypothesis,) = load_study(write(MINIMAL + more)).hypotheses
    assert hypothesis.expectation is None
    assert hypothesis.change == {"learning_rate": 1.0, "rank": 4}


@pytest.mark.parametrize("seed", [None, 3])
def test_trials_get_the_study_seed_unless_they_have_one(seed: int | None, write: Write) -> None:
    own = [] if seed is None else [f"baseline.hyperparameters.seed={seed}"]
    spec = load_study(write(MINIMAL), ["seed=17", *own])
    assert spec.baseline_hyperparameters.seed == (17 if seed is None else 3)
    assert spec.hyperparameters_with({"rank": 2}).rank == 2
    assert spec.hyperparameters_with({"seed": 5}).seed == 5


def test_no_such_file_folder_or_name(tmp_path: Path) -> None:
    for path, message in [
        (tmp_path / "no.yaml", "there is no such file"),
        (tmp_path, "this is a folder (allowed: a YAML file)"),
        (Path("a\0b"), "is not a file's name: embedded null byte"),
    ]:
        with pytest.raises(StudyFileError) as caught:
            load_study(path)
        assert str(caught.value) == f"{path}  {message}"


def test_recorded_log_is_found_beside_the_study(write: Write) -> None:
    log = write("step\n", "logs/run.csv")
    spec = load_study(write(MINIMAL + "baseline: {recorded: logs/run.csv}\n"))
    assert spec.recorded_path == log


def test_corpus_is_found_beside_the_study(write: Write) -> None:
    write("# Q\n", "my data/train.md")
    path = write(MINIMAL.replace("builtin:pydoc-qa", "my data/train.md"))
    assert load_study(path).data.train == "my data/train.md"


BROKEN = (GOLDEN / "broken.yaml").read_text(encoding="utf-8")
PIECES = st.sampled_from([
    "&a ", "*a", "<<", "? ", ": ", "- ", "[", "]", "{", "}", "!!x ", "'", '"', "|", "#", "\n", "\t",
    "null", ".nan", "1e999", "on", "off", "default", "é", "\ufeff", "\x00", "---\n", "9" * 400,
])  # fmt: skip


@given(
    text=st.sampled_from([MINIMAL, BROKEN]),
    edits=st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 20), PIECES), max_size=4),
    override=st.sampled_from(["seed", "data.train", "space.rank", "baseline", "prune.spike.x"]),
    value=st.one_of(st.text(max_size=8), PIECES),
)
@settings(
    deadline=None,
    derandomize=True,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_text_is_a_study_or_a_list_of_problems(
    text: str, edits: list[tuple[int, int, str]], override: str, value: str, write: Write
) -> None:
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    num_lines = text.count("\n") + 1
    try:
        load_study(write(text), [f"{override}={value}"])
    except StudyFileError as error:
        assert error.problems
        assert all(problem.message for problem in error.problems)
        assert all(0 <= problem.line <= num_lines for problem in error.problems)
