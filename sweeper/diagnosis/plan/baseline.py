"""The run's own configuration as a study's baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from sweeper.diagnosis.case import Case
from sweeper.diagnosis.config import LOG_ORIGIN
from sweeper.diagnosis.phrases import setting
from sweeper.diagnosis.plan.ground import Ground
from sweeper.diagnosis.plan.length import length_of
from sweeper.diagnosis.spelling import printable, value_text
from sweeper.study import Hyperparameters, HyperparameterValue
from sweeper.study.hyperparameters import resolved_value

_ALWAYS = ("block_size", "batch_size", "accumulation", "learning_rate", "schedule", "warmup")
_SEED = 17
_LONGEST_WARMUP = 0.99  # of a run that ended in its warm-up; all of it is no share that a study has
_NOT_KNOWN = "not known; sweeper's default"


@dataclass(frozen=True)
class PlannedBaseline:
    """The run to beat.

    Attributes:
        hyperparameters: All of them.
        texts: Those that the file writes out, in YAML.
        remarks: What to say beside some of them.
        left_out: Settings that no study can hold, a sentence each.
        seed: The study's seed.
    """

    hyperparameters: Hyperparameters
    texts: Mapping[str, str]
    remarks: Mapping[str, str]
    left_out: tuple[str, ...]
    seed: int

    @property
    def has_defaults(self) -> bool:
        """Whether some values are ours, for nobody knows the run's."""
        return _NOT_KNOWN in self.remarks.values()


def plan_baseline(case: Case, ground: Ground) -> PlannedBaseline:
    """What is known of the run; what is not, by default and said so."""
    config = case.config
    values: dict[str, HyperparameterValue] = {}
    left_out: list[str] = []
    for name in [n for n in Hyperparameters.model_fields if config.is_known(n)]:
        try:
            values[name] = resolved_value(name, _as_written(name, config.get(name)))
        except ValidationError:
            left_out.append(
                f"{name}: the run had {printable(config.get(name))[:60]}, which a study cannot hold"
            )
    said = [name for name in values if config.origins.get(name) == LOG_ORIGIN]
    remarks = dict.fromkeys(said, "as the log says")
    seed = values.pop("seed", None)
    _fit_block(values, remarks, ground)
    texts = {name: value_text(value) for name, value in values.items()}
    _write_warmup(case, values, texts, remarks)
    defaults = Hyperparameters()
    for name in [name for name in _ALWAYS if name not in values]:
        texts[name] = value_text(getattr(defaults, name))
        remarks[name] = _NOT_KNOWN
    order = [*_ALWAYS, *(name for name in texts if name not in _ALWAYS)]
    return PlannedBaseline(
        hyperparameters=Hyperparameters.model_validate(values),
        texts={name: texts[name] for name in order},
        remarks=remarks,
        left_out=tuple(left_out),
        seed=seed if isinstance(seed, int) else _SEED,
    )


def _as_written(name: str, value: object) -> object:
    """Whole numbers that came as floats (JSON and spreadsheets write 8.0)."""
    whole = isinstance(value, float) and value.is_integer()
    if whole and isinstance(Hyperparameters.model_fields[name].default, int) and name != "warmup":
        return int(value)  # type: ignore[call-overload]
    return value


def _fit_block(
    values: dict[str, HyperparameterValue], remarks: dict[str, str], ground: Ground
) -> None:
    block = values.get("block_size")
    if ground.longest_block is not None and isinstance(block, int) and block > ground.longest_block:
        values["block_size"] = ground.longest_block
        remarks["block_size"] = f"the run had {block:,}; {ground.model} has no more positions"


def _write_warmup(
    case: Case,
    values: dict[str, HyperparameterValue],
    texts: dict[str, str],
    remarks: dict[str, str],
) -> None:
    """A share instead of steps: trials of other blocks and batches have other numbers of steps."""
    warmup, (total, whose) = values.get("warmup"), length_of(case)
    if isinstance(warmup, float):
        texts["warmup"], values["warmup"] = _percent(warmup)
    elif isinstance(warmup, int) and warmup:
        text, share = _percent(min(warmup / total, _LONGEST_WARMUP))
        if share:
            texts["warmup"], values["warmup"] = text, share
            remarks["warmup"] = f"{warmup:,} of {whose} {setting(total)} steps"


def _percent(share: float) -> tuple[str, float]:
    text = f"{100 * share:.4f}".rstrip("0").rstrip(".") + "%"
    resolved = resolved_value("warmup", text) if text != "100%" else share
    return (value_text(share) if text == "100%" else text), float(resolved or 0)
