"""What a log prints of its own run: hyperparameters, and how many steps there will be."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.logs import Log, read_log


def read(folder: Path, text: str) -> Log:
    path = folder / "run.log"
    path.write_text(text)
    return read_log(path)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("learning_rate = 6e-4\nmax_iters = 5000\n", {"learning_rate": 6e-4, "max_iters": 5000}),
        ("Overriding: batch_size = 12\n", {"batch_size": 12}),
        (
            "Namespace(lr=0.1, model='gpt2', fp16=True)\n",
            {"lr": 0.1, "model": "gpt2", "fp16": True},
        ),
        ("  lr .............. 0.0001\n", {"lr": 0.0001}),
        ("  weight_decay=0.01,\n  fp16=False,\n", {"weight_decay": 0.01, "fp16": False}),
        ("batch_size: 8\nlr: 1e-4\n", {"batch_size": 8, "lr": 1e-4}),
        ("out_dir = 'out'\nclip = None\n", {"out_dir": "out", "clip": None}),
        ("betas=[0.9, 0.95]\n", {"betas": [0.9, 0.95]}),
        ("x = y = 3\nSaved to a: b\n", {}),
        ("lr = 6e-4 # the highest\n", {"lr": 6e-4}),
        ("  lr ....... 0.0001......................updated\n", {"lr": 0.0001}),
        ("def f(x):\n    lr = 0.5\nclass A:\n    seed = 3\n", {"lr": None, "seed": None}),
        (
            " | Num Epochs = 4 | Total steps = 60\n Batch size per device = 2 | Gradient "
            "accumulation steps = 8\n",
            {
                "Num Epochs": 4,
                "Total optimization steps": 60,
                "Instantaneous batch size per device": 2,
                "Gradient accumulation steps": 8,
            },
        ),
    ],
)
def test_settings_that_a_log_prints(tmp_path: Path, text: str, settings: dict[str, object]) -> None:
    found = read(tmp_path, text + "step 1: loss 5.0\nnot_a_setting = 3\n").settings

    assert {name: found.get(name) for name in settings} == settings
    assert "not_a_setting" not in found


@pytest.mark.parametrize(
    ("text", "total"),
    [
        ("step:5/90 loss:5\nstep:6/90 loss:4\n", 90),
        ("[5/90] loss=5\n", 90),
        ("iteration 5/ 90 | lm loss: 5.0 |\n", 90),
        ("[step=5/90,epoch=0]\n  train_loss=5\n", 90),
        ("5/90 [00:12<01:52,  8.00it/s, loss=5]\n", 90),
        ('{"step": 5, "loss": 5, "total_steps": 90}\n', 90),
        ("step 5 loss 5\n", None),
        ("Epoch 1/4, Step [5/90], Loss: 5\n", None),
        ("step 5/90 loss 5\nstep 5/80: val loss 4\n", None),
        ("step 95/90 loss 5\n", None),
        ("step 5/90 loss 5\nstep 6/90 loss 4\nstep 5/90 loss 4.9\nstep 6/90 loss 4.8\n", None),
    ],
)
def test_a_log_may_say_how_many_steps_there_will_be(
    tmp_path: Path, text: str, total: int | None
) -> None:
    assert read(tmp_path, text).settings.get("total_steps") == total
