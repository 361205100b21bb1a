"""Cells: numbers in every spelling, and errors that name the place where one is none."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sweeper.errors import LogError
from sweeper.logs import Log, LogOptions, read_log


def read(folder: Path, text: str, name: str = "run.csv", options: LogOptions | None = None) -> Log:
    path = folder / name
    path.write_text(text)
    return read_log(path, options or LogOptions())


def error(folder: Path, text: str, name: str = "run.csv", options: LogOptions | None = None) -> str:
    with pytest.raises(LogError) as caught:
        read(folder, text, name, options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("2.5", 2.5),
        (" 2.5 ", 2.5),
        ("2.5e-1", 0.25),
        ("+2.5", 2.5),
        ("1_000", 1000.0),
        ('"1,000"', 1000.0),
        ('"1,234.5"', 1234.5),
        ("10k", 10_000.0),
        ("1.5M", 1_500_000.0),
        ("30%", 30.0),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("Infinity", math.inf),
    ],
)
def test_numbers_have_many_spellings(tmp_path: Path, cell: str, value: float) -> None:
    log = read(tmp_path, f"step,loss,grad_norm\n1,5.5,{cell}\n")

    assert log.curve.points[0].grad_norm == value


@pytest.mark.parametrize("cell", ["nan", "NaN", "-nan", "NAN"])
def test_nan_is_a_value(tmp_path: Path, cell: str) -> None:
    loss = read(tmp_path, f"step,loss\n1,5\n2,{cell}\n").curve.points[1].train_loss

    assert loss is not None
    assert math.isnan(loss)


def test_a_damaged_row_is_left_out(tmp_path: Path) -> None:
    rows = "".join(f"{step},{9 - step / 9}\n" for step in range(40))

    log = read(tmp_path, f"step,loss\n{rows}40,4,4,4\n41,4,\n")

    assert [point.step for point in log.curve] == [*range(40), 41]
    assert log.notes == ("line 42: more cells than the header has names, left out",)


@pytest.mark.parametrize("cell", ["", " ", "null", "None", "NA", "N/A", "-", "No log"])
def test_what_was_not_logged_is_none(tmp_path: Path, cell: str) -> None:
    log = read(tmp_path, f"step,loss,val_loss\n1,5,4\n2,5,{cell}\n")

    assert [point.val_loss for point in log.curve] == [4.0, None]


@pytest.mark.parametrize(
    ("text", "steps", "losses"),
    [
        pytest.param("step;loss\n0;9,25\n500;6,5\n", [0, 500], [9.25, 6.5], id="decimals"),
        pytest.param("step;loss\n0;9,125\n500;6,875\n", [0, 500], [9.125, 6.875], id="either way"),
        pytest.param("step;loss\n500;9,1\n1.000;6,5\n", [500, 1000], [9.1, 6.5], id="dots part"),
        pytest.param("step;loss\n1;1.234,5\n2;6,5\n", [1, 2], [1234.5, 6.5], id="thousands"),
        pytest.param('step,loss\n"1,000","6,5"\n', [1000], [6.5], id="commas of both kinds"),
        pytest.param('step,loss\n"1,000",6.5\n', [1000], [6.5], id="quoted thousands"),
        pytest.param("step\tloss\n1\t0,125\n", [1], [0.125], id="a leading zero"),
    ],
)
def test_decimal_commas(tmp_path: Path, text: str, steps: list[int], losses: list[float]) -> None:
    log = read(tmp_path, text)

    assert [point.step for point in log.curve] == steps
    assert [point.train_loss for point in log.curve] == losses


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "step,loss\n1,5.0\n2,five\n",
            "run.csv:3: loss is 'five', not a number (allowed: a",
        ),
        ("step,loss\n1,5.0\n\n\n2,five\n", "run.csv:5: loss is 'five'"),
        ("step,loss\n1.5,5.0\n", "run.csv:2: step is 1.5, not a whole step"),
        ("step,loss\nnan,5.0\n", "run.csv:2: step is nan, not a whole step"),
        ("step,loss\ninf,5.0\n", "run.csv:2: step is inf, not a whole step"),
        ("step,loss\n1e300,5.0\n", "run.csv:2: step is 1e+300, not a whole step"),
        ("step,loss\nx,5.0\n", "run.csv:2: step is 'x', not a number"),
        ("step,tokens,loss\n1,nan,2\n", "run.csv:2: tokens is nan, not a whole number of tokens"),
        ("step,loss,lr\n1,5,fast\n", "run.csv:2: lr is 'fast', not a number"),
        ("step,lr\n1,2\n", "no column looks like a loss; it has step, lr. Name it with --column"),
        ("step,perplexity,acc\n1,2,3\n", "it has step, perplexity, acc"),
        ("step,loss\n", "a header without rows; its columns are step, loss"),
        (
            "step,loss\n1,9,25\n2,9,125\n",
            "run.csv:2: 3 cells, but the header has 2 names (step, loss) (allowed: a cell for each",
        ),
        (
            "n,8,lossy 9\n",
            "say --column train_loss=NAME; a table needs a line with its names above",
        ),
        ("", "run.csv: is empty"),
        ("\n \n", "run.csv: is empty"),
        ("hello\nworld 5\n", "no line gives a loss; the first lines are: hello | world 5."),
        ('{"step": 1, "loss": 2}\nnope\n{"step": 3, "loss": 1}\n', "run.csv:2: no JSON"),
        ('{"step": 1, "loss": 2}\n[3]\n{"step": 3, "loss": 1}\n', "run.csv:2: '[3]' is no object"),
        ("[]", "JSON that is no log (an empty list)"),
        ('{"loss": [1, 2], "step": [1]}', "not equally long (loss 2, step 1)"),
        ('{"a": "b"}', "JSON that is no log (dict)"),
    ],
)
def test_errors_name_the_place_and_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    assert message in error(tmp_path, text)


def test_binary_data_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(bytes(range(256)) * 20)

    with pytest.raises(LogError, match=r"model\.bin: is no text but binary data"):
        read_log(tmp_path / "model.bin")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"gone\.csv: cannot be read \(No such file"):
        read_log(tmp_path / "gone.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (LogOptions(columns={"accuracy": "x"}), "--column accuracy: no such role (allowed: step,"),
        (LogOptions(columns={"step": "x"}), "--column step=x: there is no such column (it has"),
        (LogOptions(units={"step_seconds": "days"}), "--unit step_seconds=days: no such unit"),
        (LogOptions(units={"speed": "s"}), "--unit speed: no such role"),
        (LogOptions(time="daily"), "--time daily: no such reading (allowed: per-step, cumulative)"),
        (LogOptions(pattern="(?P<loss"), "--pattern: not a regular expression at position"),
        (LogOptions(pattern=r"loss (\S+)"), "--pattern: has no group named train_loss or val_loss"),
        (LogOptions(pattern=r"zzz (?P<train_loss>\d)"), "no line matches --pattern zzz"),
    ],
)
def test_wrong_flags_say_what_is_allowed(tmp_path: Path, options: LogOptions, message: str) -> None:
    assert message in error(tmp_path, "step,loss\n1,2\n", options=options)


@pytest.mark.parametrize("step", ["step", "steps", "iter", "iteration", "global_step", " Step "])
@pytest.mark.parametrize(
    "train", ["train_loss", "train", "loss", "train/loss", "Training Loss", "trainLoss"]
)
def test_columns_go_by_many_names(tmp_path: Path, step: str, train: str) -> None:
    (point,) = read(tmp_path, f"{step},{train},lr,extra\n5,6.5,1e-3,x\n").curve

    assert (point.step, point.train_loss, point.learning_rate) == (5, 6.5, 1e-3)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("val", "val_loss"),
        ("eval_loss", "val_loss"),
        ("Loss/validation", "val_loss"),
        ("valid-loss", "val_loss"),
        ("eval_wiki_loss", "val_loss"),
        ("lr", "learning_rate"),
        ("train/learning_rate", "learning_rate"),
        ("lr-AdamW", "learning_rate"),
        ("gnorm", "grad_norm"),
        ("grad_2.0_norm_total", "grad_norm"),
        ("loss scale", "loss_scale"),
        ("train/epoch", "epoch"),
        ("num_input_tokens_seen", "tokens"),
        ("metrics/eval/LanguageCrossEntropy", "val_loss"),
        ("throughput/total_tokens", "tokens"),
        ("Train lr-DecoupledAdamW/group0", "learning_rate"),
        ("perplexity", ""),
        ("val_ppl", ""),
        ("accuracy", ""),
        ("best val loss", ""),
        ("eval_runtime", ""),
        ("eval_steps_per_second", ""),
    ],
)
def test_names_mean_roles(tmp_path: Path, name: str, role: str) -> None:
    log = read(tmp_path, f"step,loss,{name}\n1,5,4\n2,5,4\n")

    assert log.columns[2].role == role


def test_the_plainer_name_wins_unless_it_is_sparse(tmp_path: Path) -> None:
    both = read(tmp_path, "step,avg_loss,loss\n1,9,5\n2,9,4\n3,9,3\n")
    sparse = read(tmp_path, "step,avg_loss,loss\n1,9,5\n2,8,\n3,7,\n")

    assert [point.train_loss for point in both.curve] == [5, 4, 3]
    assert both.columns[1].basis == "loss is used as train_loss"
    assert [point.train_loss for point in sparse.curve] == [9, 8, 7]


@pytest.mark.parametrize("quote", ["", '"'])
def test_of_columns_of_one_name_the_first_counts(tmp_path: Path, quote: str) -> None:
    log = read(tmp_path, f"step,loss,{quote}loss{quote}\n1,5,9\n2,4,9\n")

    assert [point.train_loss for point in log.curve] == [5, 4]
    assert log.notes == ("several columns are called loss: the first counts",)


def test_a_flag_names_a_column(tmp_path: Path) -> None:
    options = LogOptions(columns={"train_loss": "Objective", "step": "n"})

    log = read(tmp_path, "n,objective,loss\n3,5,1\n", options=options)

    assert [(point.step, point.train_loss) for point in log.curve] == [(3, 5.0)]
    assert [(c.role, c.basis) for c in log.columns[:2]] == [
        ("step", "by flag"),
        ("train_loss", "by flag"),
    ]


def test_bits_become_nats(tmp_path: Path) -> None:
    options = LogOptions(units={"train_loss": "bits"})

    (point,) = read(tmp_path, "step,loss\n1,2\n", options=options).curve

    assert point.train_loss == pytest.approx(2 * math.log(2))


def test_a_pattern_reads_what_nothing_else_does(tmp_path: Path) -> None:
    options = LogOptions(pattern=r"@(?P<step>\d+) -> (?P<train_loss>\S+) / (?P<val_loss>\S+)")

    log = read(tmp_path, "hello\n@5 -> 2.5 / 2.75\n@6 -> nan / 2.5\n", "x.log", options)

    assert [(point.step, point.val_loss) for point in log.curve] == [(5, 2.75), (6, 2.5)]
