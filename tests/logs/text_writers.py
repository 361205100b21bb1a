"""The run, as programs print it line by line."""

from __future__ import annotations

from pathlib import Path

from tests.logs.run import ROWS, Writer, write_file, write_lines


def write_nanogpt(folder: Path) -> Path:
    line = "step {step}: train loss {train:.4f}, val loss {val:.4f}\nsaving checkpoint to out"
    return write_lines(folder, "n.txt", "number of parameters: 10.65M\n", line)


def write_modded_nanogpt(folder: Path) -> Path:
    line = "step:{step}/500 train_loss:{train} train_time:{step}ms\nstep:{step}/500 val_loss:{val}"
    return write_lines(folder, "n.txt", "", line)


def write_trainer_dicts(folder: Path) -> Path:
    header = "***** Running training *****\n  Num Epochs = 2\n  Total optimization steps = 500\n"
    lines = []
    for step, train, val in ROWS:
        lines.append(f"{{'loss': {train}, 'learning_rate': 1e-05, 'epoch': {step / 250}}}")
        lines.append(f"{{'eval_loss': {val}, 'eval_runtime': 1.5, 'epoch': {step / 250}}}")
    return write_file(folder, "hf.txt", header + "\n".join(lines) + "\n")


def write_bar(folder: Path) -> Path:
    line = "{step:3d}/500 [00:12<01:52,  8.00it/s, loss={train}, val_loss={val}]"
    bars = (line.format(step=s, train=t, val=v) for s, t, v in ROWS)
    return write_file(folder, "bar.txt", "".join(f"\r 10%|#   | {bar}" for bar in bars))


def write_megatron(folder: Path) -> Path:
    line = (
        " iteration {step:8d}/     500 | consumed samples: 25600 | "
        "elapsed time per iteration (ms): 2230.6 | learning rate: 9.850E-05 | "
        "lm loss: {train:.6E} | loss scale: 65536.0 |\n"
        " validation loss at iteration {step} | lm loss value: {val:.6E} | lm loss PPL: 1.6E+01 |"
    )
    return write_lines(folder, "m.log", "using world size: 8\n", line)


def write_mlx(folder: Path) -> Path:
    line = (
        "Iter {step}: Train loss {train}, Learning Rate 1.000e-05, It/sec 0.5, Tokens/sec 120.0\n"
        "Iter {step}: Val loss {val}, Val took 3.2s"
    )
    return write_lines(folder, "mlx.txt", "Loading datasets\n", line)


def write_logger(folder: Path) -> Path:
    line = "2026-01-31 12:00:00,123 INFO train step {step} loss {train} lr 1e-4\nval loss: {val}"
    return write_lines(folder, "a.log", "", line)


def write_colours(folder: Path) -> Path:
    line = "\x1b[32m[{step}/500]\x1b[0m \x1b[1mloss=\x1b[31m{train}\x1b[0m val_loss={val}"
    return write_lines(folder, "c.log", "", line)


def write_key_values(folder: Path) -> Path:
    line = "step: {step}\n  loss: {train}\n  val_loss: {val}\n---"
    return write_lines(folder, "kv.log", "starting\n", line)


def write_csv_amid_chatter(folder: Path) -> Path:
    header = "Loading 3 files\nstep,train_loss,val_loss\n"
    return write_lines(folder, "out.txt", header, "{step},{train},{val}\nsaved to out, as usual")


def write_keras(folder: Path) -> Path:
    line = "{step}/500 [=====>....] - 60s 600ms/step - loss: {train} - val_loss: {val}"
    return write_lines(folder, "k.txt", "Epoch 1/3\n", line)


def write_olmo(folder: Path) -> Path:
    line = (
        "2026-01-31 12:00:00 INFO [olmo.train:1] [step={step}/500,epoch=0]\n"
        "    train/CrossEntropyLoss={train}\n    eval/CrossEntropyLoss={val}"
    )
    return write_lines(folder, "o.txt", "", line)


def write_fairseq(folder: Path) -> Path:
    line = (
        "2026-01-31 12:00:00 | INFO | train_inner | "
        '{{"epoch": 1, "update": 0.5, "loss": "{train}", "num_updates": "{step}", "lr": "1e-05"}}\n'
        "2026-01-31 12:00:00 | INFO | valid | "
        '{{"epoch": 1, "valid_loss": "{val}", "valid_num_updates": "{step}"}}'
    )
    return write_lines(folder, "f.txt", "", line)


def write_llm_c_log(folder: Path) -> Path:
    line = "s:{step} eval:0.2500\ns:{step} tel:{val}\ns:{step} trl:{train} lr:0.0001 norm:1.50"
    return write_lines(folder, "main.log", "", line)


def write_leading_numbers(folder: Path) -> Path:
    line = (
        "step {step}: train loss 9.9, val loss {val}\n"
        "{step} | loss {train} | lr 1.000000e-04 | 8060.78ms | mfu 0.21%"
    )
    return write_lines(folder, "l.txt", "", line)


def write_neox(folder: Path) -> Path:
    line = (
        " samples/sec: 30.1 | iteration {step:8d}/     500 | elapsed time per iteration (ms): "
        "1062.5 | learning rate: 9.850E-05 | lm_loss: {train:.6E} | loss scale: 65536.0 |\n"
        " validation results at iteration {step} | lm_loss value: {val:.6E} | "
        "lm_loss_ppl value: 1.6E+01 |"
    )
    return write_lines(folder, "n.log", "", line)


def write_nemo(folder: Path) -> Path:
    line = (
        "Training epoch 0, iteration {step}/500 | lr: 0.0006 | consumed_samples: 32 | "
        "global_step: {step} | reduced_train_loss: {train} | train_step_timing in s: 0.5 | "
        "val_loss: {val}"
    )
    return write_lines(folder, "nemo.log", "", line)


def write_composer(folder: Path) -> Path:
    line = (
        "[batch={step}/500]:\n\t Train time/batch: 7\n\t Train time/token: 2048\n"
        "\t Train loss/train/total: {train}\n\t Train throughput/batches_per_sec: 0.5\n"
        "\t Train lr-DecoupledAdamW/group0: 0.0001\n[Eval batch=1/9] Eval on eval data:\n"
        "\t Eval metrics/eval/LanguageCrossEntropy: {val}"
    )
    return write_lines(folder, "c.log", "", line)


def write_titled_bar(folder: Path) -> Path:
    line = "1|{step}|Loss: {train}:  50%|##   | 7/9 [00:07<00:02,  1.05it/s, val_loss={val}]"
    return write_lines(folder, "t.txt", "", line)


TEXT_WRITERS: tuple[Writer, ...] = (
    write_nanogpt,
    write_modded_nanogpt,
    write_trainer_dicts,
    write_bar,
    write_megatron,
    write_mlx,
    write_logger,
    write_colours,
    write_key_values,
    write_csv_amid_chatter,
    write_keras,
    write_olmo,
    write_fairseq,
    write_llm_c_log,
    write_leading_numbers,
    write_neox,
    write_nemo,
    write_composer,
    write_titled_bar,
)
