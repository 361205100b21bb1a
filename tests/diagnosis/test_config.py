"""A run's set-up is the same in whatever words it is given."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.curves import Curve, Point
from sweeper.diagnosis.case import ModelFacts, RunConfig
from sweeper.diagnosis.config import merge_config, settings_of_log, settings_of_model
from sweeper.diagnosis.config_files import read_source
from sweeper.diagnosis.rate import scheduled_rate
from sweeper.errors import UsageError
from sweeper.logs import Log
from sweeper.study import Hyperparameters

EMPTY = Log("run.log", "CSV", Curve())
# A fine-tuning on one laptop: 500 steps of warmup to 2e-5, then 4,500 of a cosine.
RECORDED = {
    "learning_rate": 2e-5,
    "schedule": "cosine",
    "warmup": 500,
    "total_steps": 5000,
    "block_size": 256,
    "batch_size": 8,
}
YAML = """\
learning_rate: 2e-5
schedule: cosine
warmup_steps: 500
cosine_steps: 4500
block_size: 256
batch_size: 8
"""
FLAGS = (
    "LEARNING_RATE=2e-5",
    "lr_schedule=cosine",
    "warmup=500",
    "TRAINING_STEPS=5000",
    "BLOCK_SIZE=256",
    "--batch-size=8",
)
NESTED = """\
optimizer: {name: adamw, lr: 2e-5}
scheduler: {type: cosine, num_warmup_steps: 500}
trainer: {max_steps: 5000}
data: {block_size: 256, batch_size: 8}
eval: {block_size: 128}
"""
NANOGPT = """\
# a comment
learning_rate = 2e-5
decay_lr = True
warmup_iters = 500
max_iters = lr_decay_iters = 5_000
block_size, eval_interval = 256, 500
block_size = 2 * 128
batch_size = 8
out_dir = 'out'
compile = torch.cuda.is_available()
"""


def write(folder: Path, name: str, content: str | Mapping[str, object]) -> str:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1), "utf-8")
    return str(path)


def read(*sources: str, log: Log = EMPTY) -> RunConfig:
    return merge_config([settings_of_log(log), *map(read_source, sources)], log)


def chosen(config: RunConfig) -> dict[str, object]:
    return {name: config.get(name) for name in RECORDED}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.yaml", YAML),
        ("run.json", {**RECORDED, "warmup": "10%"} | {"warmup": 500}),
        ("nested.yaml", NESTED),
        (
            "tracked.yaml",
            "".join(f"{k}: {{desc: null, value: {v}}}\n" for k, v in RECORDED.items()),
        ),
        (
            "training_args.json",
            {
                "per_device_train_batch_size": 8,
                "per_device_eval_batch_size": 64,
                "learning_rate": 2e-5,
                "lr_scheduler_type": "SchedulerType.COSINE",
                "warmup_steps": 500,
                "warmup_ratio": 0.0,
                "max_steps": 5000,
                "max_seq_length": 256,
                "num_train_epochs": 3.0,
            },
        ),
        ("train.py", NANOGPT),
    ],
)
def test_the_recorded_run_in_every_make(
    tmp_path: Path, name: str, content: str | Mapping[str, object]
) -> None:
    assert chosen(read(write(tmp_path, name, content))) == RECORDED


def test_the_recorded_run_as_flags_and_its_rates() -> None:
    config = read(*FLAGS)

    assert chosen(config) == RECORDED
    assert set(config.origins.values()) == {"--config"}
    assert config.tokens_per_step == 2048
    assert scheduled_rate(config, 2000) == pytest.approx(1.5e-5)
    assert scheduled_rate(read(*FLAGS, "min_lr=2e-6"), 2000) == pytest.approx(1.55e-5)


def test_the_same_run_as_yaml_and_flags_gives_the_same_values(tmp_path: Path) -> None:
    assert read(write(tmp_path, "run.yaml", YAML)).values == read(*FLAGS).values


def test_origins_name_file_and_line(tmp_path: Path) -> None:
    config = read(write(tmp_path, "run.yaml", YAML))

    assert config.origins["learning_rate"] == "run.yaml:1"
    assert config.origins["warmup"] == "run.yaml:3"
    assert config.origins["total_steps"] == "run.yaml:4"
    assert set(config.origins) == set(config.values)


@pytest.mark.parametrize(
    ("flag", "name", "value"),
    [
        ("warmup=10%", "warmup", 0.1),
        ("warmup_ratio=0.1", "warmup", 0.1),
        ("warmup=0", "warmup", 0),
        ("max_steps=5e3", "total_steps", 5000),
        ("max_grad_norm=0", "clip_norm", None),
        ("grad_clip=1.0", "clip_norm", 1.0),
        ("fp16=true", "precision", "fp16"),
        ("dtype=bfloat16", "precision", "bf16"),
        ("decay_lr=false", "schedule", "constant"),
        ("lr_scheduler_type=constant_with_warmup", "schedule", "constant"),
        ("lr_scheduler_type=linear", "warmup_start_factor", 0.0),
        ("gradient_accumulation_steps=4", "accumulation", 4),
        ("lora_alpha=32", "alpha", 32.0),
        ("target_modules=[c_proj, c_attn]", "target_modules", "c_attn+c_proj"),
        ("target_modules=all-linear", "target_modules", "all-linear"),
        ("modules_to_save=[wte, ln_f]", "train_also", "embeddings+norms"),
        ("init_from=scratch", "pretrained", False),
        ("init_from=gpt2-medium", "pretrained", True),
        ("model_name_or_path=gpt2", "pretrained", True),
        ("optim=adamw_torch", "optimizer", "adamw_torch"),
        ("n_layer=12", "num_layers", 12),
        ("Total optimization steps=600", "total_steps", 600),
        ("Num Epochs=3", "num_epochs", 3.0),
        ("trainable_params=294912", "trained_parameters", 294_912),
    ],
)
def test_other_names_for_the_same(flag: str, name: str, value: object) -> None:
    config = read(flag)

    assert config.is_known(name)
    assert config.get(name) == value
    assert type(config.get(name)) is type(value)


@pytest.mark.parametrize(
    "flag",
    [
        "max_steps=-1",
        "fp16=false",
        "bf16=auto",
        "gradient_accumulation_steps=auto",
        "init_from=resume",
    ],
)
def test_what_is_off_or_left_to_a_default_is_unknown(flag: str) -> None:
    assert read(flag).values == {}


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 400), st.integers(1, 10_000))
def test_steps_after_the_warmup_add_to_it(warmup: int, after: int) -> None:
    config = read(f"warmup_steps={warmup}", f"cosine_steps={after}")
    assert config.get("total_steps") == warmup + after


def test_a_share_of_warmup_counts_towards_the_length() -> None:
    assert read("warmup=10%", "cosine_steps=4500").get("total_steps") == 5000


def test_nanogpt_warms_up_from_just_above_zero(tmp_path: Path) -> None:
    config = read(write(tmp_path, "train.py", NANOGPT))
    assert config.get("warmup_start_factor") == pytest.approx(1 / 501)


def test_hugging_face_has_a_share_where_its_steps_are_zero(tmp_path: Path) -> None:
    both = {"warmup_steps": 0, "warmup_ratio": 0.03}
    assert read(write(tmp_path, "args.json", both)).get("warmup") == 0.03
    assert read(write(tmp_path, "args.json", both), "warmup=7").get("warmup") == 7


def test_later_sources_win_and_the_change_is_noted(tmp_path: Path) -> None:
    config = read(write(tmp_path, "run.yaml", YAML), "block_size=128", "batch_size=8")

    assert config.get("block_size") == 128
    assert config.origins["block_size"] == "--config"
    assert config.notes == ("block_size: 256 (run.yaml:5) gives way to 128 (--config)",)


def test_unknown_keys_of_a_file_are_listed_and_those_of_evaluation_are_not_taken(
    tmp_path: Path,
) -> None:
    text = "colour: blue\nbatch_size: 4\neval: {batch_size: 64}\nlogging: {every: 3}\n"
    config = read(write(tmp_path, "run.yaml", text))

    assert config.values == {"batch_size": 4}
    assert config.ignored == ("colour", "eval.batch_size", "logging.every")


def test_an_adapter_tells_its_rank_and_that_its_base_was_trained(tmp_path: Path) -> None:
    adapter = {
        "peft_type": "LORA",
        "r": 8,
        "lora_alpha": 16,
        "lora_dropout": 0.05,
        "target_modules": ["c_attn"],
        "modules_to_save": None,
        "base_model_name_or_path": "gpt2",
    }
    config = read(write(tmp_path, "adapter_config.json", adapter))

    assert config.values == {
        "rank": 8,
        "alpha": 16.0,
        "dropout": 0.05,
        "target_modules": "c_attn",
        "train_also": "",
        "pretrained": True,
    }


def test_a_models_config_tells_its_shape_and_nothing_of_the_run(tmp_path: Path) -> None:
    model = {
        "model_type": "gpt2",
        "vocab_size": 50257,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "task_specific_params": {"text-generation": {"max_length": 50}},
        "dtype": "float32",
    }
    config = read(write(tmp_path, "config.json", model))

    assert config.values == {
        "vocab_size": 50257,
        "hidden_size": 768,
        "num_layers": 12,
        "num_heads": 12,
    }


def test_a_study_gives_its_baseline_with_every_default_and_names_model_and_data(
    tmp_path: Path,
) -> None:
    study = """\
name: s
model: builtin:untrained
data: {train: notes.md}
budget: {trials: 3, tokens_per_trial: 40k}
baseline:
  hyperparameters: {block_size: 64, batch_size: 4, learning_rate: 3e-4}
space:
  block_size: [128]
"""
    source = read_source(write(tmp_path, "study.yaml", study))
    config = merge_config([source], EMPTY)

    assert (source.model, source.data, source.folder) == ("builtin:untrained", "notes.md", tmp_path)
    assert config.origins["block_size"] == "study.yaml:6"
    assert config.origins["rank"] == "study.yaml (default)"
    assert config.get("total_steps") == 156 + 1  # 625 whole blocks, 4 to a step
    assert config.get("pretrained") is False
    expected = Hyperparameters(block_size=64, batch_size=4, learning_rate=3e-4)
    for name, value in expected.model_dump(exclude={"seed"}).items():
        assert config.get(name) == value, name


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("lerning_rate=1e-3", ["--config", "unknown key, did you mean learning_rate?"]),
        ("colour=blue", ["colour: unknown key (allowed: accumulation"]),
        ("learning_rate=-1", ["learning_rate: the number -1 is out of range", "above 0"]),
        ("learning_rate=fast", ["learning_rate: expected a number, got the text 'fast'"]),
        ("batch_size=2.5", ["batch_size: expected a whole number"]),
        ("max_steps=true", ["max_steps: expected a whole number"]),
        ("warmup=200%", ["warmup", "(allowed: "]),
        ("dtype=int4", ["dtype", "not one of the choices"]),
        ("fp16=7", ["fp16: expected true or false"]),
        ("=3", ["a name is missing"]),
        ("x=[1", ["x=[1", "not valid YAML"]),
        ("missing.yaml", ["missing.yaml: there is no such file", "KEY=VALUE"]),
        (".", [".: this is a folder"]),
    ],
)
def test_flags_that_cannot_work_are_refused(source: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        read(source)
    assert [part for part in parts if part not in str(refused.value)] == []


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("run.yaml", "block_size: 256\nlearning_rate: 20\n", ["run.yaml:2  learning_rate: "]),
        ("run.yaml", "a: [1\n", ["run.yaml:2: not valid YAML"]),
        ("run.yaml", "- 1\n", ["run.yaml: no mapping"]),
        ("run.yaml", "", ["run.yaml: no mapping"]),
        ("run.py", "lr = = 3\n", ["run.py: not Python"]),
        ("run.py", "lr = " + "-" * 100_000 + "1\n", ["run.py: nested too deep"]),
        ("run.py", "lr = " + "9 * " * 20_000 + "9\n", ["run.py: nested too deep"]),
        ("run.yaml", "lr: 1e-4\nmin_lr: 1e-3\n", ["run.yaml:2  min_lr: 0.001 is above", "up to"]),
    ],
)
def test_files_that_cannot_work_are_refused_with_their_line(
    tmp_path: Path, name: str, content: str, parts: list[str]
) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(UsageError) as refused:
        read(path)
    assert [part for part in parts if part not in str(refused.value)] == []


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "run.yaml", "block_size: 0\nbatch_size: -3\n")
    with pytest.raises(UsageError) as refused:
        read(path, "seeed=1")
    assert len(str(refused.value).splitlines()) == 3


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "training_args.bin").write_bytes(b"\x80\x04\x95")
    with pytest.raises(UsageError, match=r"not UTF-8.*pickles .* are never opened"):
        read(str(tmp_path / "training_args.bin"))


def test_json_may_be_indented_with_tabs(tmp_path: Path) -> None:
    assert read(write(tmp_path, "run.json", '{\n\t"lr":\t2e-5\n}\n')).get("learning_rate") == 2e-5


def test_what_yaml_cannot_hold_is_noted_and_the_rest_is_read(tmp_path: Path) -> None:
    config = read(write(tmp_path, "run.yaml", "lr: 1e-4\nlabels: {0: a}\nlr: 3e-4\n"))

    assert config.get("learning_rate") == 1e-4
    assert len(config.notes) == 2
    assert all("run.yaml:" in note for note in config.notes)


def test_a_schedule_that_we_do_not_have_is_noted(tmp_path: Path) -> None:
    config = read("lr_scheduler_type=inverse_sqrt")

    assert not config.is_known("schedule")
    assert "the schedule inverse_sqrt is none of" in config.notes[0]


def test_what_the_log_prints_is_taken_and_given_way_to() -> None:
    log = Log("x", "text", Curve(), settings={"max_iters": 600, "batch_size": 0, "dog": 1})

    config = read("max_iters=500", log=log)

    assert config.values == {"total_steps": 500}
    assert config.ignored == ("dog",)
    assert [note.split(":")[0] for note in config.notes] == ["log  batch_size", "total_steps"]


def test_a_base_tells_its_shape_and_past() -> None:
    facts = ModelFacts("gone", 1000, hidden_size=64, looks_untrained=True)

    config = merge_config([settings_of_model(facts, Path("nowhere"))], EMPTY)

    assert config.values == {"vocab_size": 1000, "hidden_size": 64, "pretrained": False}
    assert config.origins["pretrained"] == "weights"


def test_a_column_of_rates_fills_in_and_contradicts() -> None:
    rates = [1e-3] * 8
    log = Log("x", "CSV", Curve(tuple(Point(n, 0, learning_rate=r) for n, r in enumerate(rates))))

    assert read(log=log).values == {"learning_rate": 1e-3, "warmup": 0, "schedule": "constant"}
    assert read(log=log).origins["schedule"] == "log"
    (note,) = read("learning_rate=2e-3", log=log).notes
    assert note == (
        "learning_rate: 0.002 (--config), but the log's column of learning rates shows 0.001"
    )
