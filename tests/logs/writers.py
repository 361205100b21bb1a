"""One run of six points, written the way each kind of program writes its log."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

STEPS = (0, 100, 200, 300, 400, 500)
TRAIN = (8.25, 5.5, 4.75, 4.625, 6.125, 4.5)
VAL = (8.375, 5.625, 5.0, 4.875, 6.25, 4.8125)
ROWS = tuple(zip(STEPS, TRAIN, VAL, strict=True))

Writer = Callable[[Path], Path]


def _file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _lines(folder: Path, name: str, header: str, line: str) -> Path:
    rows = (line.format(step=s, train=t, val=v) for s, t, v in ROWS)
    return _file(folder, name, header + "".join(row + "\n" for row in rows))


def write_csv(folder: Path) -> Path:
    return _lines(folder, "run.csv", "step,train_loss,val_loss\n", "{step},{train},{val}")


def write_tsv(folder: Path) -> Path:
    return _lines(folder, "run.tsv", "iter\tloss\teval/loss\n", "{step}\t{train}\t{val}")


def write_semicolons(folder: Path) -> Path:
    path = _lines(folder, "run.csv", "Step;Train Loss;Val Loss\n", "{step};{train};{val}")
    return _file(folder, "run.csv", path.read_text().replace(".", ","))


def write_quoted(folder: Path) -> Path:
    return _lines(folder, "q.csv", '"step","loss","val"\n', '"{step}","{train}","{val}"')


def write_wandb(folder: Path) -> Path:
    header = (
        '"Step","calm-sea-1 - train/loss","calm-sea-1 - train/loss__MIN",'
        '"calm-sea-1 - train/loss__MAX","calm-sea-1 - eval/loss"\n'
    )
    return _lines(folder, "w.csv", header, '"{step}","{train}","0.1","99","{val}"')


def write_mlflow_wide(folder: Path) -> Path:
    header = "run_id,step,metrics.train_loss,metrics.val_loss\n"
    return _lines(folder, "m.csv", header, "ab12,{step},{train},{val}")


def write_mlflow_long(folder: Path) -> Path:
    lines = ["run_id,key,value,step,timestamp"]
    lines += [f"ab12,train_loss,{train},{step},{1.7e12 + step:.0f}" for step, train, _ in ROWS]
    lines += [f"ab12,val_loss,{val},{step},{1.7e12 + step:.0f}" for step, _, val in ROWS]
    return _file(folder, "m.csv", "\n".join(lines) + "\n")


def write_lightning(folder: Path) -> Path:
    lines = ["epoch,step,train_loss_epoch,train_loss_step,val_loss"]
    for step, train, val in ROWS:
        lines += [f"0,{step},,{train},", f"0,{step},,,{val}"]
    (folder / "version_0").mkdir()
    _file(folder / "version_0", "metrics.csv", "\n".join(lines) + "\n")
    return folder


def _json_lines(name: str, record: Callable[[int, float, float], dict[str, object]]) -> Writer:
    def write(folder: Path) -> Path:
        text = "".join(json.dumps(record(*row)) + "\n" for row in ROWS)
        return _file(folder, name, text)

    return write


write_jsonl = _json_lines("run.jsonl", lambda s, t, v: {"step": s, "train_loss": t, "val_loss": v})
write_nested_jsonl = _json_lines(
    "run.jsonl", lambda s, t, v: {"global_step": s, "train": {"loss": t}, "eval": {"loss": v}}
)


def write_json_list(folder: Path) -> Path:
    return _file(
        folder, "run.json", json.dumps([{"step": s, "loss": t, "val_loss": v} for s, t, v in ROWS])
    )


def write_json_columns(folder: Path) -> Path:
    return _file(
        folder, "run.json", json.dumps({"steps": STEPS, "loss": TRAIN, "val_loss": VAL, "seed": 3})
    )


def write_trainer_state(folder: Path) -> Path:
    history: list[dict[str, float]] = []
    for step, train, val in ROWS:
        history.append({"step": step, "loss": train, "epoch": step / 500})
        history.append({"step": step, "eval_loss": val, "epoch": step / 500})
    history.append({"step": 500, "train_loss": 5.5, "train_runtime": 60.0})
    state = {"global_step": 500, "max_steps": 500, "log_history": history}
    return _file(folder, "trainer_state.json", json.dumps(state))


def write_trainer_folder(folder: Path) -> Path:
    checkpoint = folder / "checkpoint-500"
    checkpoint.mkdir()
    write_trainer_state(checkpoint)
    return folder


def write_trial(folder: Path) -> Path:
    text = "".join(
        json.dumps({"step": s, "tokens": s * 64, "train_loss": t, "val_loss": v}) + "\n"
        for s, t, v in ROWS
    )
    _file(folder, "curve.jsonl", text)
    return folder


def write_nanogpt(folder: Path) -> Path:
    line = "step {step}: train loss {train:.4f}, val loss {val:.4f}\nsaving checkpoint to out"
    return _lines(folder, "n.txt", "number of parameters: 10.65M\n", line)


def write_modded_nanogpt(folder: Path) -> Path:
    line = "step:{step}/500 train_loss:{train} train_time:{step}ms\nstep:{step}/500 val_loss:{val}"
    return _lines(folder, "n.txt", "", line)


def write_trainer_dicts(folder: Path) -> Path:
    header = "***** Running training *****\n  Num Epochs = 2\n  Total optimization steps = 500\n"
    lines = []
    for step, train, val in ROWS:
        lines.append(f"{{'loss': {train}, 'learning_rate': 1e-05, 'epoch': {step / 250}}}")
        lines.append(f"{{'eval_loss': {val}, 'eval_runtime': 1.5, 'epoch': {step / 250}}}")
    return _file(folder, "hf.txt", header + "\n".join(lines) + "\n")


def write_bar(folder: Path) -> Path:
    line = "{step:3d}/500 [00:12<01:52,  8.00it/s, loss={train}, val_loss={val}]"
    bars = (line.format(step=s, train=t, val=v) for s, t, v in ROWS)
    return _file(folder, "bar.txt", "".join(f"\r 10%|#   | {bar}" for bar in bars))


def write_megatron(folder: Path) -> Path:
    line = (
        " iteration {step:8d}/     500 | consumed samples: 25600 | "
        "elapsed time per iteration (ms): 2230.6 | learning rate: 9.850E-05 | "
        "lm loss: {train:.6E} | loss scale: 65536.0 |\n"
        " validation loss at iteration {step} | lm loss value: {val:.6E} | lm loss PPL: 1.6E+01 |"
    )
    return _lines(folder, "m.log", "using world size: 8\n", line)


def write_mlx(folder: Path) -> Path:
    line = (
        "Iter {step}: Train loss {train}, Learning Rate 1.000e-05, It/sec 0.5, Tokens/sec 120.0\n"
        "Iter {step}: Val loss {val}, Val took 3.2s"
    )
    return _lines(folder, "mlx.txt", "Loading datasets\n", line)


def write_logger(folder: Path) -> Path:
    line = "2026-01-31 12:00:00,123 INFO train step {step} loss {train} lr 1e-4\nval loss: {val}"
    return _lines(folder, "a.log", "", line)


def write_colours(folder: Path) -> Path:
    line = "\x1b[32m[{step}/500]\x1b[0m \x1b[1mloss=\x1b[31m{train}\x1b[0m val_loss={val}"
    return _lines(folder, "c.log", "", line)


def write_key_values(folder: Path) -> Path:
    line = "step: {step}\n  loss: {train}\n  val_loss: {val}\n---"
    return _lines(folder, "kv.log", "starting\n", line)


def write_csv_amid_chatter(folder: Path) -> Path:
    header = "Loading 3 files\nstep,train_loss,val_loss\n"
    return _lines(folder, "out.txt", header, "{step},{train},{val}\nsaved to out, as usual")


def write_markdown(folder: Path) -> Path:
    header = "| Step | Train Loss | Val Loss |\n|-----:|:----------|---------|\n"
    return _lines(folder, "t.md", header, "| **{step}** | {train} | {val} |")


def write_aligned(folder: Path) -> Path:
    return _lines(folder, "t.txt", "step   loss   val_loss\n", "{step:4d}   {train}    {val}")


def write_keras(folder: Path) -> Path:
    line = "{step}/500 [=====>....] - 60s 600ms/step - loss: {train} - val_loss: {val}"
    return _lines(folder, "k.txt", "Epoch 1/3\n", line)


def write_olmo(folder: Path) -> Path:
    line = (
        "2026-01-31 12:00:00 INFO [olmo.train:1] [step={step}/500,epoch=0]\n"
        "    train/CrossEntropyLoss={train}\n    eval/CrossEntropyLoss={val}"
    )
    return _lines(folder, "o.txt", "", line)


def write_fairseq(folder: Path) -> Path:
    line = (
        "2026-01-31 12:00:00 | INFO | train_inner | "
        '{{"epoch": 1, "update": 0.5, "loss": "{train}", "num_updates": "{step}", "lr": "1e-05"}}\n'
        "2026-01-31 12:00:00 | INFO | valid | "
        '{{"epoch": 1, "valid_loss": "{val}", "valid_num_updates": "{step}"}}'
    )
    return _lines(folder, "f.txt", "", line)


def write_llm_c_log(folder: Path) -> Path:
    line = "s:{step} eval:0.2500\ns:{step} tel:{val}\ns:{step} trl:{train} lr:0.0001 norm:1.50"
    return _lines(folder, "main.log", "", line)


def write_leading_numbers(folder: Path) -> Path:
    line = (
        "step {step}: train loss 9.9, val loss {val}\n"
        "{step} | loss {train} | lr 1.000000e-04 | 8060.78ms | mfu 0.21%"
    )
    return _lines(folder, "l.txt", "", line)


def write_neox(folder: Path) -> Path:
    line = (
        " samples/sec: 30.1 | iteration {step:8d}/     500 | elapsed time per iteration (ms): "
        "1062.5 | learning rate: 9.850E-05 | lm_loss: {train:.6E} | loss scale: 65536.0 |\n"
        " validation results at iteration {step} | lm_loss value: {val:.6E} | "
        "lm_loss_ppl value: 1.6E+01 |"
    )
    return _lines(folder, "n.log", "", line)


def write_nemo(folder: Path) -> Path:
    line = (
        "Training epoch 0, iteration {step}/500 | lr: 0.0006 | consumed_samples: 32 | "
        "global_step: {step} | reduced_train_loss: {train} | train_step_timing in s: 0.5 | "
        "val_loss: {val}"
    )
    return _lines(folder, "nemo.log", "", line)


def write_composer(folder: Path) -> Path:
    line = (
        "[batch={step}/500]:\n\t Train time/batch: 7\n\t Train time/token: 2048\n"
        "\t Train loss/train/total: {train}\n\t Train throughput/batches_per_sec: 0.5\n"
        "\t Train lr-DecoupledAdamW/group0: 0.0001\n[Eval batch=1/9] Eval on eval data:\n"
        "\t Eval metrics/eval/LanguageCrossEntropy: {val}"
    )
    return _lines(folder, "c.log", "", line)


def write_titled_bar(folder: Path) -> Path:
    line = "1|{step}|Loss: {train}:  50%|##   | 7/9 [00:07<00:02,  1.05it/s, val_loss={val}]"
    return _lines(folder, "t.txt", "", line)


def write_comments(folder: Path) -> Path:
    header = "# a run of 2026\n# lr 3e-4, batch 8\nstep,loss,val_loss\n"
    return _lines(folder, "c.csv", header, "{step},{train},{val}")


def write_numpy(folder: Path) -> Path:
    return _lines(folder, "n.csv", "# step,loss,val_loss\n", "{step},{train},{val}")


def write_fastai(folder: Path) -> Path:
    header = "step      train_loss  valid_loss  accuracy  time\n"
    return _lines(folder, "f.txt", header, "{step:<4d}      {train}    {val}    0.81    00:12")


def write_comet(folder: Path) -> Path:
    series = [("train_loss", s, t) for s, t, _ in ROWS] + [("val_loss", s, v) for s, _, v in ROWS]
    events = [{"metricName": n, "metricValue": str(x), "step": s} for n, s, x in series]
    return _file(folder, "comet.json", json.dumps(events))


def write_gzip(folder: Path) -> Path:
    plain = write_csv(folder)
    packed = folder / "run.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    return packed


def write_event_files(folder: Path) -> Path:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    for step, train, val in ROWS:
        for tag, value in (("train/loss", train), ("eval/loss", val)):
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            writer.add_event(Event(wall_time=1.7e9 + step, step=step, summary=summary))
    writer.close()
    return folder


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
LIVE_WRITERS: tuple[Writer, ...] = (
    *TEXT_WRITERS,
    write_csv,
    write_tsv,
    write_semicolons,
    write_jsonl,
    write_nested_jsonl,
)
WRITERS: tuple[Writer, ...] = (
    *LIVE_WRITERS,
    write_quoted,
    write_wandb,
    write_mlflow_wide,
    write_mlflow_long,
    write_lightning,
    write_json_list,
    write_json_columns,
    write_trainer_state,
    write_trainer_folder,
    write_trial,
    write_markdown,
    write_aligned,
    write_comments,
    write_numpy,
    write_fastai,
    write_comet,
    write_gzip,
    write_event_files,
)
