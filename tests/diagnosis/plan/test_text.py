"""The emitted study: what it says about known runs, and that it is always one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.diagnosis.case import Case
from sweeper.diagnosis.cause import Advice, Cause
from sweeper.diagnosis.diagnose import diagnose
from sweeper.diagnosis.plan import study_text
from sweeper.study import Choice, Hyperparameters, Range, StudySpec, load_study
from sweeper.study.engine import DEFAULT_VARIABLES
from tests.diagnosis.fakes import (
    RECORDED_CONFIG,
    advice,
    case_of,
    cause,
    config_of,
    points,
    recorded_case,
)

GOLDEN = Path(__file__).parents[1] / "golden"


def text_of(case: Case, *causes: Cause, **given: str | None) -> str:
    """The study of a case; nothing is given unless said otherwise."""
    parts: dict[str, Any] = {"name": "plateau", "log_path": "run.csv"}
    parts |= {"model": None, "data": None, "command": None} | given
    return study_text(diagnose(case, causes), **parts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that studies name."""
    for name in ("run.csv", "training.py", "qa.md", "a: b #1.csv"):
        (tmp_path / name).write_text("Q: a?\nA: b.\n", encoding="utf-8")
    return tmp_path


def loaded(folder: Path, text: str) -> StudySpec:
    """The study that a text is."""
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return load_study(path)


def advised(*changes: Mapping[str, object]) -> Cause:
    """A cause with an advice for each change."""
    return cause("a", *[advice(f"change-{n}", change) for n, change in enumerate(changes)])


UNTRAINED = cause("untrained-base", advice("check-base", {}, urgency=1))
FIXES = cause(
    "lr-too-low",
    advice("raise-rate", {"learning_rate": 2e-4, "schedule": "constant"}, urgency=2),
    advice("smaller-block", {"block_size": 128}, expect="speed > baseline"),
    advice("bigger-batch", {"accumulation": 4}, urgency=4),
    advice("log-gradient-norms", {}, urgency=4),
)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("stand-in.yaml", {}),
        ("command.yaml", {"command": "python training.py"}),
        ("gpt2.yaml", {"model": "gpt2", "data": "qa.md"}),
    ],
)
def test_the_study_of_the_recorded_run_word_by_word(
    folder: Path, name: str, given: dict[str, str]
) -> None:
    text = text_of(recorded_case(), UNTRAINED, FIXES, **given)

    assert text == (GOLDEN / name).read_text(encoding="utf-8")
    assert loaded(folder, text).budget.trials == 17


def test_the_run_becomes_the_baseline_and_its_advice_the_hypotheses(folder: Path) -> None:
    spec = loaded(folder, text_of(recorded_case(), FIXES, model="gpt2", data="qa.md"))

    assert spec.baseline.hyperparameters == Hyperparameters(
        block_size=256,
        batch_size=8,
        learning_rate=2e-5,
        schedule="cosine",
        warmup=0.1,
        warmup_start_factor=0.1,
        clip_norm=1.0,
        rank=8,
    )
    assert spec.baseline.recorded == "run.csv"
    assert [(h.name, h.change, h.expect) for h in spec.hypotheses] == [
        (
            "raise rate",
            {"learning_rate": 2e-4, "schedule": "constant"},
            "val_loss < baseline",
        ),
        ("smaller block", {"block_size": 128}, "speed > baseline"),
        ("bigger batch", {"accumulation": 4}, "val_loss < baseline"),
    ]
    assert (spec.model, spec.data and spec.data.train) == ("gpt2", "qa.md")
    assert spec.budget.tokens_per_trial == 5000 * 256 * 8
    assert spec.evaluate.block_size == 256


def test_the_space_holds_baseline_changes_and_the_usual_rates(folder: Path) -> None:
    space = loaded(folder, text_of(recorded_case(), FIXES, model="gpt2")).space

    rates = space["learning_rate"]
    assert isinstance(rates, Range)
    assert rates.log
    assert rates.low <= 2e-5 / 3
    assert rates.high >= max(30 * 2e-5, 1e-3)
    assert space["block_size"] == Choice((128, 256, 512))
    assert space["batch_size"] == Choice((4, 8, 16, 32))
    assert space["accumulation"] == Choice((1, 2, 4))
    assert space["schedule"] == Choice(("constant", "linear", "cosine"))


def test_a_command_brings_its_base_and_data_and_is_told_by_variables(folder: Path) -> None:
    text = text_of(recorded_case(), FIXES, model="gpt2", data="qa.md", command="python training.py")
    spec = loaded(folder, text)

    assert spec.command is not None
    assert spec.command.command == ("python", "training.py")
    assert (spec.model, spec.data) == (None, None)
    assert spec.command.variables["total_steps"] == "TRAINING_STEPS"
    assert "At the speed of the log a trial takes 1 h 19 min." in text


@pytest.mark.parametrize(
    "command",
    ["cd .. && python training.py", "FAST=1 python training.py", "train 'it", 'a "b" | tee "c"'],
)
def test_a_command_that_needs_a_shell_gets_one(folder: Path, command: str) -> None:
    spec = loaded(folder, text_of(recorded_case(), command=command))

    assert spec.command is not None
    assert spec.command.command == ("sh", "-c", command)


def test_a_command_without_words_is_none(folder: Path) -> None:
    assert loaded(folder, text_of(recorded_case(), command="  ")).model == "builtin:tiny"


def test_without_a_base_ours_stands_in_for_less_money(folder: Path) -> None:
    text = text_of(recorded_case(), FIXES)
    spec = loaded(folder, text)

    assert (spec.model, spec.data and spec.data.train) == ("builtin:tiny", "builtin:pydoc-qa")
    assert spec.budget.tokens_per_trial == 240_000
    said = " ".join(text.replace("#", " ").split())
    assert "Our base and corpus stand in for the run's" in said
    assert "`model: gpt2` and `train: my-data/training.md`" in said
    assert "make 10,240,000; less here" in said


def test_only_the_corpus_stands_in_where_the_base_was_named(folder: Path) -> None:
    text = text_of(recorded_case(), model="gpt2")

    assert "# Our corpus stands in for the run's" in text
    assert "`model: gpt2`" not in text


def test_an_untrained_base_is_stood_in_for_by_one_and_embeddings_are_tried(folder: Path) -> None:
    text = text_of(recorded_case(), UNTRAINED)
    spec = loaded(folder, text)

    assert spec.model == "builtin:untrained"
    assert "`model: builtin:tiny` is the same one pretrained" in text
    assert [h.change for h in spec.hypotheses] == [{"train_also": "embeddings+norms"}]
    assert spec.space["train_also"] == Choice(("", "embeddings+norms"))
    assert "# - Do check-base" in text


def test_a_run_that_is_known_whole_is_written_as_it_was() -> None:
    known = {"block_size": 256, "batch_size": 8, "accumulation": 1, "learning_rate": 2e-5}
    text = text_of(recorded_case(known | {"schedule": "cosine", "warmup": 0}))
    assert "# The run as it was. " in text
    assert "not known" not in text


def test_unknown_settings_are_defaults_and_say_so(folder: Path) -> None:
    text = text_of(recorded_case({}))
    spec = loaded(folder, text)

    assert spec.baseline.hyperparameters == Hyperparameters()
    assert text.count("# not known; sweeper's default") == 6
    assert "the log's 2,500 steps of 1,024 tokens" in text


def test_settings_that_no_study_can_hold_are_left_out_and_named(folder: Path) -> None:
    config = {**RECORDED_CONFIG, "rank": -1, "schedule": "wsd", "batch_size": 8.0}
    text = text_of(recorded_case(config))
    spec = loaded(folder, text)

    assert "# rank: the run had -1, which a study cannot hold" in text
    assert "# schedule: the run had wsd, which a study cannot hold" in text
    assert spec.baseline.hyperparameters.batch_size == 8


@pytest.mark.parametrize(
    ("known", "warmup", "remark"),
    [
        ({"warmup": 500, "total_steps": 5000}, 0.1, "# 500 of the run's 5,000 steps"),
        ({"warmup": 0.03, "total_steps": 5000}, 0.03, ""),
        ({"warmup": 333, "total_steps": 7000}, 0.047571, "# 333 of the run's 7,000 steps"),
        ({"warmup": 9000, "total_steps": 5000}, 0.99, "# 9,000 of the run's 5,000 steps"),
        ({"warmup": 100}, 0.04, "# 100 of the log's 2,500 steps"),
        ({"warmup": 0, "total_steps": 5000}, 0, ""),
        ({"warmup": 1, "total_steps": 2_000_000_000}, 1, ""),
    ],
)
def test_a_warmup_in_steps_becomes_a_share(
    folder: Path, known: dict[str, object], warmup: float, remark: str
) -> None:
    text = text_of(recorded_case(known))

    found = loaded(folder, text).baseline.hyperparameters.warmup
    assert found == pytest.approx(warmup, abs=1e-6)
    assert isinstance(found, type(warmup))
    assert remark in text


def test_the_seed_of_the_run_is_the_studys(folder: Path) -> None:
    spec = loaded(folder, text_of(recorded_case({"seed": 41}), advised({"seed": 41})))

    assert spec.seed == 41
    assert spec.hypotheses == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ([{"learning_rate": 2e-5}], "change 0: left out, the same experiment as the baseline"),
        ([{"seed": 17}], "change 0: left out, the same experiment as the baseline"),
        (
            [{"batch_size": 16}, {"accumulation": 2}],
            "change 1: left out, the same experiment as change 0",
        ),
        ([{"rank": -1}], "change 0: left out, no study can hold its values"),
        ([{"wings": 2}], "change 0: left out, no study can hold its values"),
        ([{"block_size": 512}], "change 0: left out, builtin:tiny has 256 positions, not 512"),
    ],
)
def test_what_is_no_experiment_of_its_own_is_left_out(
    folder: Path, changes: list[dict[str, object]], reason: str
) -> None:
    text = text_of(recorded_case(), advised(*changes))

    assert f"# {reason}\n" in text
    assert len(loaded(folder, text).hypotheses) == len(changes) - 1


def test_hypotheses_of_one_name_get_names_of_their_own(folder: Path) -> None:
    causes = (
        cause("a", advice("more rate", {"learning_rate": 1e-4})),
        cause("b", advice("more-rate", {"learning_rate": 1e-3})),
    )

    spec = loaded(folder, text_of(recorded_case(), *causes))

    assert [hypothesis.name for hypothesis in spec.hypotheses] == ["more rate", "more rate 2"]


def test_a_block_that_our_base_cannot_hold_is_cut(folder: Path) -> None:
    text = text_of(recorded_case({**RECORDED_CONFIG, "block_size": 1024}))

    assert loaded(folder, text).baseline.hyperparameters.block_size == 256
    assert "# the run had 1,024; builtin:tiny has no more positions" in text


def test_a_step_that_is_longer_than_the_run_raises_the_budget(folder: Path) -> None:
    config = {"block_size": 4096, "batch_size": 64, "total_steps": 1}

    text = text_of(recorded_case(config), advised({"accumulation": 8}), model="gpt2")

    assert loaded(folder, text).budget.tokens_per_trial == 4096 * 64 * 8
    assert "raised to one step of the longest" in text


@pytest.mark.parametrize("path", ["", " run.csv", "odd\nname.csv", "x" * 5000])
def test_a_log_that_no_study_can_name_is_left_out(folder: Path, path: str) -> None:
    text = text_of(recorded_case(), log_path=path)

    assert loaded(folder, text).baseline.recorded is None
    assert "# recorded: the log, once it lies in a file beside this one" in text


def test_a_log_with_an_odd_name_is_quoted(folder: Path) -> None:
    spec = loaded(folder, text_of(recorded_case(), log_path="a: b #1.csv"))

    assert spec.baseline.recorded == "a: b #1.csv"


def test_the_runs_own_evaluations_are_the_rungs_where_they_are_not_too_many(folder: Path) -> None:
    config = {**RECORDED_CONFIG, "eval_steps": 500}

    spec = loaded(folder, text_of(recorded_case(config), model="gpt2"))

    assert spec.evaluate.every_tokens == 500 * 2048
    often = loaded(folder, text_of(recorded_case({**config, "eval_steps": 1}), model="gpt2"))
    assert often.evaluate.every_tokens == 850_000


@pytest.mark.parametrize(
    ("eval_steps", "model", "tokens"),
    [(None, None, 4_000), (None, "gpt2", 85_000), (84, "gpt2", 17_000), (500, "gpt2", 100_000)],
)
def test_evaluations_are_on_a_tenth_of_the_tokens_between_them(
    folder: Path, eval_steps: int | None, model: str | None, tokens: int
) -> None:
    config = {**RECORDED_CONFIG, **({"eval_steps": eval_steps} if eval_steps else {})}
    evaluate = loaded(folder, text_of(recorded_case(config), model=model)).evaluate

    assert evaluate.tokens == tokens
    assert tokens <= 0.1 * evaluate.every_tokens


hyperparameter_values = st.fixed_dictionaries(
    {},
    optional={
        "block_size": st.integers(-1, 2**31) | st.sampled_from([2, 2**31 - 1, 256.0, "256"]),
        "batch_size": st.integers(-1, 2**31 - 1) | st.just(1),
        "accumulation": st.sampled_from([0, 1, 2**31 - 1, None]),
        "learning_rate": st.floats(-1, 11) | st.sampled_from([5e-324, 1e-300, 10.0, 10, "1e-3"]),
        "schedule": st.sampled_from(["cosine", "linear", "constant", "wsd", ""]),
        "warmup": st.integers(-1, 2**31) | st.floats(0, 1.5) | st.sampled_from(["10%", "500"]),
        "warmup_start_factor": st.floats(-1, 2),
        "floor_factor": st.floats(0, 1),
        "weight_decay": st.floats(0, 1e6),
        "clip_norm": st.none() | st.floats(0, 5),
        "rank": st.integers(0, 600),
        "alpha": st.floats(0, 64),
        "dropout": st.floats(0, 1),
        "target_modules": st.sampled_from(["c_attn", ["c_attn", "q_proj"], [], "a b"]),
        "train_also": st.sampled_from(["", "embeddings", ["norms", "embeddings"], "all"]),
        "precision": st.sampled_from(["bf16", "fp16"]),
        "seed": st.none() | st.integers(-1, 2**31),
    },
)
run_configs = st.builds(
    lambda known, others: known | others,
    hyperparameter_values,
    st.fixed_dictionaries(
        {},
        optional={
            "total_steps": st.integers(-1, 2**40) | st.floats(0, 1e6) | st.just(True),
            "eval_steps": st.integers(-1, 10**6),
            "vocab_size": st.integers(1, 10**6),
        },
    ),
)
odd_texts = st.text(max_size=80) | st.sampled_from(
    ["", " ", "a: b", "#", "- x", "no\nline", "\x1b[31mred", "~", "1e3", "x" * 300, "\u202eabc"]
)
some_advice = st.builds(
    Advice,
    id=odd_texts,
    title=odd_texts,
    reason=odd_texts,
    refuted_by=odd_texts,
    change=hyperparameter_values,
    urgency=st.integers(1, 5),
    expect=st.sampled_from(["", "val_loss < baseline", "speed>baseline", "better", "a: b"]),
)


@settings(
    deadline=None,
    derandomize=True,
    max_examples=80,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    run_configs,
    st.lists(some_advice, max_size=5),
    odd_texts,
    st.sampled_from(["run.csv", "", "a: b #1.csv"]),
    st.sampled_from([None, "gpt2", "builtin:untrained", "builtin:x", " odd ", ""]),
    st.sampled_from([None, "qa.md", "builtin:pydoc-qa", "builtin:x", ""]),
    st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30),
    st.booleans(),
)
def test_whatever_is_diagnosed_the_study_is_valid(
    folder: Path,
    config: dict[str, object],
    advised_things: list[Advice],
    name: str,
    log_path: str,
    model: str | None,
    data: str | None,
    command: str | None,
    untrained: bool,
) -> None:
    causes = [cause(f"cause-{n}", each) for n, each in enumerate(advised_things)]
    causes += [UNTRAINED] if untrained else []
    command = None if command is None else f"echo {shlex.quote(command)} {command}"
    case = case_of(points([5.0, 4.0, 3.0], every=100), config=config)

    text = text_of(
        case, *causes, name=name, log_path=log_path, model=model, data=data, command=command
    )
    spec = loaded(folder, text)

    assert spec.budget.trials >= 1 + len(spec.hypotheses)
    assert len(text.splitlines()) == text.count("\n")  # nothing else ends a line
    keys = [line.split(":")[0] for line in text.splitlines() if line[:1].isalpha()]
    assert len(keys) == len(set(keys))
    for hypothesis in spec.hypotheses:
        for key, value in hypothesis.change.items():
            assert key == "seed" or _holds(spec, key, value)


def _holds(spec: StudySpec, name: str, value: object) -> bool:
    """Whether a searched dimension covers a value."""
    dimension = spec.space[name]
    if isinstance(dimension, Choice):
        return value in dimension.values
    return isinstance(value, (int, float)) and dimension.low <= value <= dimension.high


def test_the_variables_that_are_written_out_are_the_usual_ones(folder: Path) -> None:
    spec = loaded(folder, text_of(recorded_case(), command="python training.py"))

    assert spec.command is not None
    assert spec.command.variables == DEFAULT_VARIABLES


def test_what_only_the_log_says_is_marked(folder: Path) -> None:
    case = recorded_case(config=config_of(RECORDED_CONFIG, "log"))

    lines = text_of(case).splitlines()

    assert "    learning_rate: 2e-5               # as the log says" in lines
    assert "    warmup: 10%                       # 500 of the run's 5,000 steps" in lines
