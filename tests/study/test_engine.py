"""The engine: one of ours, or a command of the user's, and what each asks of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.study import (
    CommandEngine,
    Hyperparameters,
    identity,
    identity_differences,
    load_study,
    spec_from_plain,
    spec_to_plain,
    study_json_schema,
)
from sweeper.study.document import value_of

from .conftest import MINIMAL, Problems, Write
from .schema_check import violations

OWN = """\
name: own
engine: {command: python training.py}
budget: {trials: 3, tokens_per_trial: 240k}
space: {learning_rate: {low: 1e-5, high: 1e-1, log: true}}
"""
PATTERN = r"(?P<step>\d+) (?P<val_loss>\S+)"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "training.py"
    path.write_text("print('hello')\n")
    return path


def engine_of(path: Path, *overrides: str) -> CommandEngine:
    engine = load_study(path, overrides).command
    assert engine is not None
    return engine


@pytest.mark.usefixtures("script")
def test_a_command_needs_no_model_and_no_data(write: Write) -> None:
    spec = load_study(write(OWN))
    assert (spec.model, spec.data) == (None, None)
    assert spec.command is spec.engine
    engine = engine_of(spec.path)
    assert engine.command == ("python", "training.py")
    assert (engine.metrics, engine.pattern, engine.grace_s) == ("auto", None, 10.0)


def test_our_engines_are_no_command(write: Write) -> None:
    spec = load_study(write(MINIMAL + "engine: peft\n"))
    assert (spec.engine, spec.command) == ("peft", None)
    assert spec.base_and_data[0] == "builtin:tiny"


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('"python training.py"', ("python", "training.py")),
        ("python training.py --name 'two words'", ("python", "training.py", "--name", "two words")),
        ("[python, training.py, a > b]", ("python", "training.py", "a > b")),
        ("""sh '>' "a|b" $HOME *""", ("sh", ">", "a|b", "$HOME", "*")),
    ],
)
def test_a_command_is_split_into_words_by_no_shell(
    write: Write, written: str, words: tuple[str, ...]
) -> None:
    engine = engine_of(write(OWN), f"engine.command={written}")
    assert engine.command == words
    again = engine_of(write(OWN, "t.yaml"), f"engine.command={list(words)!r}")
    assert again.line == engine.line


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("python a > log.txt", "the text '>' is for a shell"),
        ("python a 2>&1", "the text '2>&1' is for a shell"),
        ("cd x && python a", "the text '&&' is for a shell"),
        ("cd x; python a", "the text 'x;' is for a shell"),
        ("python 'a", "cannot split"),
        ("LEARNING_RATE=1 python a", "sets a variable and is no program"),
        ("''", "is empty"),
        ("[]", "is empty"),
        ("['']", "the program has no name"),
        ("[python, 3]", "cannot use the number 3 as a word"),
        ("5", "expected a command, got the number 5"),
    ],
)
def test_what_is_no_command(problems: Problems, command: str, message: str) -> None:
    quoted = command if command[0] in "['5" else f'"{command}"'
    found = problems(OWN, f"engine.command={quoted}")
    assert len(found) == 1
    assert found[0].startswith("--set  engine.command: ")
    assert message in found[0]


def test_all_problems_of_an_engine_at_once_each_at_its_place(problems: Problems) -> None:
    text = """\
name: own
model: gpt2
engine:
  command: python training.py | tee log
  env: {block_size: BATCH_SIZE, rnk: R, seed: a b}
  metrics: regex
  grace: soon
  shell: true
budget: {trials: 3, tokens_per_trial: 240k}
space: {rank: [1, 2]}
"""
    found = problems(text)
    assert [line.split(": ", 1)[0] for line in found] == [
        "4:3  engine.pattern",
        "4:12  engine.command",
        "5:21  engine.env.block_size",
        "5:33  engine.env.rnk",
        "5:47  engine.env.seed",
        "7:10  engine.grace",
        "8:3  engine.shell",
    ]
    assert "BATCH_SIZE already says batch_size" in found[2]
    assert "did you mean rank?" in found[3]
    assert "allowed: command, env, metrics, pattern, grace" in found[6]


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=gpt2", "model: a command brings this with it"),
        ("data={train: builtin:pydoc-qa}", "data: a command brings this with it"),
        ("evaluate.block_size=64", "evaluate.block_size: a command brings this with it"),
        ("evaluate.tokens=4k", "evaluate.tokens: a command brings this with it"),
        ("engine=peft", "model: this key is missing and has no default (allowed without it"),
        (
            "engine=fast",
            "'fast' is not one of the choices (allowed: auto, packed, peft, {command: ...})",
        ),
        ("workers={slots: 2}", "workers.slots: a command trains one trial at a time in a worker"),
        (f"engine={{command: a, pattern: '{PATTERN}'}}", "metrics: auto reads no pattern"),
        ("engine={command: a, metrics: regex}", "metrics: regex needs a pattern"),
        ("engine={command: a, metrics: regex, pattern: '('}", "is no regular expression"),
        ("engine={command: a, metrics: regex, pattern: '(?P<step>.)'}", "needs the named groups"),
        ("engine={command: python lost.py}", "there is no file lost.py beside the study file"),
    ],
)
def test_what_a_command_changes_in_the_rest(
    problems: Problems, override: str, message: str
) -> None:
    assert any(message in line for line in problems(OWN, override))


@pytest.mark.parametrize("variable", ["PATH", "HOME", "PYTHONPATH", "OMP_NUM_THREADS"])
def test_a_variable_that_programs_need_is_refused(problems: Problems, variable: str) -> None:
    found = problems(OWN, f"engine.env.seed={variable}")
    assert len(found) == 1
    assert f"engine.env.seed: {variable} means something else" in found[0]


@pytest.mark.usefixtures("script")
def test_short_trials_are_no_shorter_than_a_block_that_nobody_uses(problems: Problems) -> None:
    text = OWN + "baseline: {hyperparameters: {block_size: 8}}\nevaluate: {every_tokens: 32}\n"
    assert problems(text, "budget.tokens_per_trial=64") == []


@pytest.mark.usefixtures("script")
def test_variables_are_the_hyperparameters_in_capitals_or_renamed(write: Write) -> None:
    plain = engine_of(write(OWN)).variables
    assert set(Hyperparameters.model_fields) < set(plain)
    assert (plain["block_size"], plain["total_steps"]) == ("BLOCK_SIZE", "TRAINING_STEPS")
    assert "RANK" not in plain.values()  # a launcher's word for a process's place
    renamed = engine_of(write(OWN), "engine.env={block_size: CONTEXT, rank: RANK}").variables
    assert (renamed["block_size"], renamed["rank"]) == ("CONTEXT", "RANK")
    assert {**renamed, "block_size": "BLOCK_SIZE", "rank": "LORA_RANK"} == plain


@pytest.mark.usefixtures("script")
def test_two_variables_may_change_places(write: Write) -> None:
    env = "engine.env={block_size: BATCH_SIZE, batch_size: BLOCK_SIZE}"
    variables = engine_of(write(OWN), env).variables
    assert (variables["block_size"], variables["batch_size"]) == ("BATCH_SIZE", "BLOCK_SIZE")


@pytest.mark.usefixtures("script")
def test_a_written_out_study_is_the_same_study(write: Write) -> None:
    env = "engine.env={seed: S, block_size: B}"
    spec = load_study(write(OWN), [env, "engine.metrics=jsonl", "engine.grace=1min"])
    again = spec_from_plain(spec_to_plain(spec), spec.path)
    assert again == spec
    assert again.digest == spec.digest


@pytest.mark.usefixtures("script")
def test_what_makes_it_another_study(write: Write) -> None:
    old = identity(load_study(write(OWN)))

    def differences(*overrides: str) -> list[str]:
        return identity_differences(old, identity(load_study(write(OWN), overrides)))

    assert differences("engine.grace=1s") == []
    assert differences("engine.env={rank: R}") == ["engine.env.rank: (not there) -> R"]
    assert len(differences("engine.command=python training.py --fast")) == 1


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (OWN, True),
        (OWN.replace("python training.py", "[python, training.py]"), True),
        (MINIMAL, True),
        (OWN.replace("{command: python training.py}", "peft"), False),
        (OWN.replace("python training.py", "5"), False),
        (OWN.replace("training.py}", "training.py, env: {rnk: R}}"), False),
        (OWN.replace("training.py}", "training.py, env: {rank: R}, grace: 2s}"), True),
    ],
)
def test_the_json_schema_says_the_same(text: str, fits: bool) -> None:
    schema = study_json_schema()
    value, wrongs = value_of(text)
    assert wrongs == []
    assert (list(violations(schema, value, schema)) == []) is fits
