"""The run, written the way each kind of program writes its log."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

from tests.logs.run import ROWS, STEPS, TRAIN, VAL, Writer, write_file, write_lines
from tests.logs.text_writers import TEXT_WRITERS


def write_csv(folder: Path) -> Path:
    return write_lines(folder, "run.csv", "step,train_loss,val_loss\n", "{step},{train},{val}")


def write_tsv(folder: Path) -> Path:
    return write_lines(folder, "run.tsv", "iter\tloss\teval/loss\n", "{step}\t{train}\t{val}")


def write_semicolons(folder: Path) -> Path:
    path = write_lines(folder, "run.csv", "Step;Train Loss;Val Loss\n", "{step};{train};{val}")
    return write_file(folder, "run.csv", path.read_text().replace(".", ","))


def write_quoted(folder: Path) -> Path:
    return write_lines(folder, "q.csv", '"step","loss","val"\n', '"{step}","{train}","{val}"')


def write_wandb(folder: Path) -> Path:
    header = (
        '"Step","calm-sea-1 - train/loss","calm-sea-1 - train/loss__MIN",'
        '"calm-sea-1 - train/loss__MAX","calm-sea-1 - eval/loss"\n'
    )
    return write_lines(folder, "w.csv", header, '"{step}","{train}","0.1","99","{val}"')


def write_mlflow_wide(folder: Path) -> Path:
    header = "run_id,step,metrics.train_loss,metrics.val_loss\n"
    return write_lines(folder, "m.csv", header, "ab12,{step},{train},{val}")


def write_mlflow_long(folder: Path) -> Path:
    lines = ["run_id,key,value,step,timestamp"]
    lines += [f"ab12,train_loss,{train},{step},{1.7e12 + step:.0f}" for step, train, _ in ROWS]
    lines += [f"ab12,val_loss,{val},{step},{1.7e12 + step:.0f}" for step, _, val in ROWS]
    return write_file(folder, "m.csv", "\n".join(lines) + "\n")


def write_lightning(folder: Path) -> Path:
    lines = ["epoch,step,train_loss_epoch,train_loss_step,val_loss"]
    for step, train, val in ROWS:
        lines += [f"0,{step},,{train},", f"0,{step},,,{val}"]
    (folder / "version_0").mkdir()
    write_file(folder / "version_0", "metrics.csv", "\n".join(lines) + "\n")
    return folder


def _json_lines(name: str, record: Callable[[int, float, float], dict[str, object]]) -> Writer:
    def write(folder: Path) -> Path:
        text = "".join(json.dumps(record(*row)) + "\n" for row in ROWS)
        return write_file(folder, name, text)

    return write


write_jsonl = _json_lines("run.jsonl", lambda s, t, v: {"step": s, "train_loss": t, "val_loss": v})
write_nested_jsonl = _json_lines(
    "run.jsonl", lambda s, t, v: {"global_step": s, "train": {"loss": t}, "eval": {"loss": v}}
)


def write_json_list(folder: Path) -> Path:
    return write_file(
        folder, "run.json", json.dumps([{"step": s, "loss": t, "val_loss": v} for s, t, v in ROWS])
    )


def write_json_columns(folder: Path) -> Path:
    return write_file(
        folder, "run.json", json.dumps({"steps": STEPS, "loss": TRAIN, "val_loss": VAL, "seed": 3})
    )


def write_trainer_state(folder: Path) -> Path:
    history: list[dict[str, float]] = []
    for step, train, val in ROWS:
        history.append({"step": step, "loss": train, "epoch": step / 500})
        history.append({"step": step, "eval_loss": val, "epoch": step / 500})
    history.append({"step": 500, "train_loss": 5.5, "train_runtime": 60.0})
    state = {"global_step": 500, "max_steps": 500, "log_history": history}
    return write_file(folder, "trainer_state.json", json.dumps(state))


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
    write_file(folder, "curve.jsonl", text)
    return folder


def write_markdown(folder: Path) -> Path:
    header = "| Step | Train Loss | Val Loss |\n|-----:|:----------|---------|\n"
    return write_lines(folder, "t.md", header, "| **{step}** | {train} | {val} |")


def write_aligned(folder: Path) -> Path:
    return write_lines(folder, "t.txt", "step   loss   val_loss\n", "{step:4d}   {train}    {val}")


def write_comments(folder: Path) -> Path:
    header = "# a run of 2026\n# lr 3e-4, batch 8\nstep,loss,val_loss\n"
    return write_lines(folder, "c.csv", header, "{step},{train},{val}")


def write_numpy(folder: Path) -> Path:
    return write_lines(folder, "n.csv", "# step,loss,val_loss\n", "{step},{train},{val}")


def write_numpy_spaced(folder: Path) -> Path:
    return write_lines(folder, "n.dat", "# step loss val_loss\n", "{step} {train} {val}")


def write_fastai(folder: Path) -> Path:
    header = "step      train_loss  valid_loss  accuracy  time\n"
    return write_lines(folder, "f.txt", header, "{step:<4d}      {train}    {val}    0.81    00:12")


def write_comet(folder: Path) -> Path:
    series = [("train_loss", s, t) for s, t, _ in ROWS] + [("val_loss", s, v) for s, _, v in ROWS]
    events = [{"metricName": n, "metricValue": str(x), "step": s} for n, s, x in series]
    return write_file(folder, "comet.json", json.dumps(events))


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
    write_numpy_spaced,
    write_fastai,
    write_comet,
    write_gzip,
    write_event_files,
)
