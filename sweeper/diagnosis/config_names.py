"""What a setting of any make means in our names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches

from pydantic import ValidationError

from sweeper.diagnosis.config_aliases import (
    ALIASES,
    EMBEDDINGS,
    EXTRAS,
    PRECISIONS,
    SCHEDULES,
)
from sweeper.study import Hyperparameters
from sweeper.study.hyperparameters import resolved_value
from sweeper.study.problems import issues_of, shown, unknown, wrong
from sweeper.study.quantities import Whole, percent_value

Meaning = Mapping[str, object]

_ELSEWHERE = frozenset({"eval", "evaluate", "evaluation", "validation", "val", "test", "generate"})


class Unmapped(Exception):
    """A value that means something, but nothing that a diagnosis knows; the message says what."""


def meaning_of(key: str, value: object) -> Meaning | None:
    """What a setting says, by our names; None where its name means nothing here.

    Beside the names of `RunConfig` these are `warmup_steps`, `warmup_share`, `min_lr`,
    `decay_end_steps` and `after_warmup_steps`, which only together with others say something. An
    empty answer is a setting that is off, or left to a default.

    Args:
        key: As written, dotted if it was nested: `optimizer.lr`, `--learning-rate`, `BLOCK_SIZE`.
        value: Plain data.

    Raises:
        Unmapped: The value is none that we know.
        PydanticCustomError: The value is not possible; the message says what is.
    """
    read = next((_READERS[name] for name in _spellings(key) if name in _READERS), None)
    if read is None:
        return None
    meaning = read(value)
    return {name: _checked(name, part) for name, part in meaning.items()}


def unknown_key(key: str) -> str:
    """The message for a name that means nothing, with the nearest that does."""
    near = get_close_matches(key.lstrip("-").replace("-", "_").lower(), _READERS, n=1, cutoff=0.65)
    hint = f", did you mean {near[0]}?" if near else ""
    names = sorted({*Hyperparameters.model_fields, "total_steps", "vocab_size", "min_lr"})
    return (
        f"unknown key{hint} (allowed: {', '.join(names)}, and what Hugging Face, peft and nanoGPT "
        "call them)"
    )


def _spellings(key: str) -> Iterator[str]:
    """The names under which a key may be known: the last two parts of its path, then the last."""
    plain = key.strip().lstrip("-").replace("-", "_").replace(" ", "_").replace("/", ".").lower()
    path = plain.split(".")
    if path[-1] == "value":  # Weights & Biases writes `lr: {value: 1e-3}`
        path = path[:-1] or path
    if not _ELSEWHERE & set(path[:-1]):
        yield ".".join(path[-2:])
        yield path[-1]


def _checked(name: str, value: object) -> object:
    """The value as Python has it, within its range."""
    if isinstance(value, float) and value.is_integer() and _is_whole(name):
        value = int(value)
    if name in EXTRAS:
        return EXTRAS[name].check(value)
    if name not in Hyperparameters.model_fields or (name, value) in _BEYOND_OURS:
        return value
    try:
        return resolved_value(name, value)
    except ValidationError as error:
        raise wrong(issues_of(error)[0].message) from error


# A run elsewhere may be set up as none of ours can be.
_BEYOND_OURS = (("precision", "fp16"), ("target_modules", "all-linear"))


def _is_whole(name: str) -> bool:
    ours = {"block_size", "batch_size", "accumulation", "rank", "seed"}
    return name in ours or isinstance(EXTRAS.get(name), Whole)


def _named(name: str) -> Callable[[object], Meaning]:
    """A name of the value as it stands; nothing at all where it is left to a default."""
    return lambda value: {} if value is None or value == "auto" else {name: value}


def _total_steps(value: object) -> Meaning:
    is_off = isinstance(value, (int, float)) and value <= 0  # Hugging Face: -1 goes by epochs
    return {} if is_off else _named("total_steps")(value)


def _clip_norm(value: object) -> Meaning:
    return {"clip_norm": value or None}


def _schedule(value: object) -> Meaning:
    word = str(value).lower().removeprefix("schedulertype.").replace("-", "_").replace(" ", "_")
    if word not in SCHEDULES:
        raise Unmapped(f"the schedule {value} is none of {', '.join(sorted(SCHEDULES))}")
    return {"schedule": SCHEDULES[word]}


def _hugging_face_schedule(value: object) -> Meaning:
    """Its warmups begin at a rate of zero (`transformers.optimization`)."""
    return {**_schedule(value), "warmup_start_factor": 0.0}


def _decay_lr(value: object) -> Meaning:
    """nanoGPT: a cosine, or nothing."""
    return {"schedule": "cosine" if _flag(value) else "constant"}


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise wrong(f"expected true or false, got {shown(value)} (allowed: true, false)")
    return value


def _precision(value: object) -> Meaning:
    word = str(value).lower().removeprefix("torch.")
    if word not in PRECISIONS:
        raise wrong(unknown(value, sorted(PRECISIONS)))
    return {"precision": PRECISIONS[word]}


def _half(name: str) -> Callable[[object], Meaning]:
    return lambda value: {"precision": name} if value not in (None, "auto") and _flag(value) else {}


def _warmup(value: object) -> Meaning:
    """A share or steps, as our own `warmup`: a float below 1 is a share."""
    share = percent_value(value) if isinstance(value, str) else value
    if value is None or value == "auto":
        return {}
    if isinstance(share, float) and (share < 1 or isinstance(value, str)):
        return {"warmup_share": share}
    return {"warmup_steps": value}


def _nanogpt_warmup(value: object) -> Meaning:
    """Its rate at step 0 is peak / (warmup_iters + 1), where other warmups begin anywhere."""
    start = {"warmup_start_factor": 1 / (value + 1)} if isinstance(value, int) and value > 0 else {}
    return {"warmup_steps": value, **start}


def _pretrained(value: object) -> Meaning:
    return {} if value is None else {"pretrained": _flag(value)}


def _base_name(value: object) -> Meaning:
    return {"pretrained": True} if isinstance(value, str) and value else {}


def _init_from(value: object) -> Meaning:
    word = str(value)
    return {} if word == "resume" else {"pretrained": word != "scratch"}


def _target_modules(value: object) -> Meaning:
    return {} if value is None else {"target_modules": value}


def _modules_to_save(value: object) -> Meaning:
    names = [str(name).rsplit(".", 1)[-1] for name in value] if isinstance(value, list) else []
    parts = {
        "embeddings": [name for name in names if name in EMBEDDINGS],
        "norms": [name for name in names if name.startswith("ln") or "norm" in name],
    }
    others = set(names).difference(*parts.values())
    if others:
        raise Unmapped(f"modules trained whole: {', '.join(sorted(others))}")
    return {"train_also": [part for part, members in parts.items() if members]}


_SPECIAL: Mapping[str, Callable[[object], Meaning]] = {
    **dict.fromkeys(("total_steps", *ALIASES["total_steps"]), _total_steps),
    **dict.fromkeys(
        ("clip_norm", "max_grad_norm", "grad_clip", "gradient_clip_val", "clip_grad", "max_norm"),
        _clip_norm,
    ),
    **dict.fromkeys(
        (
            "schedule",
            "lr_schedule",
            "lr_scheduler",
            "scheduler",
            "lr_decay_style",
            "scheduler.name",
            "scheduler.type",
            "lr_scheduler.name",
            "lr_scheduler.type",
        ),
        _schedule,
    ),
    "lr_scheduler_type": _hugging_face_schedule,
    "decay_lr": _decay_lr,
    **dict.fromkeys(("precision", "dtype", "mixed_precision"), _precision),
    "fp16": _half("fp16"),
    "bf16": _half("bf16"),
    **dict.fromkeys(("warmup", "warmup_steps", "num_warmup_steps", "lr_warmup_steps"), _warmup),
    **dict.fromkeys(("warmup_iters", "lr_warmup_iters"), _nanogpt_warmup),
    **dict.fromkeys(("warmup_ratio", "warmup_share"), _named("warmup_share")),
    "pretrained": _pretrained,
    **dict.fromkeys(("model_name_or_path", "base_model", "base_model_name_or_path"), _base_name),
    "init_from": _init_from,
    "target_modules": _target_modules,
    "lora_target_modules": _target_modules,
    "modules_to_save": _modules_to_save,
}
_READERS: Mapping[str, Callable[[object], Meaning]] = {
    alias: _named(name) for name, aliases in ALIASES.items() for alias in (name, *aliases)
} | dict(_SPECIAL)
