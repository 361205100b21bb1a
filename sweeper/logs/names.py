"""What the columns of a log mean, by their names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from sweeper.curves.curve import QUANTITIES

ROLES = ("step", "tokens", *QUANTITIES)
PER_STEP, CUMULATIVE, RUNNING_MEAN = "per step", "cumulative", "running mean"


@dataclass(frozen=True)
class Meaning:
    """What a name says about its column.

    Attributes:
        role: A field of `sweeper.curves.Point`.
        rank: Among names of one role the lowest wins: the plainer.
        unit: Where the name tells.
        reading: For times, where the name tells.
    """

    role: str
    rank: int
    unit: str = ""
    reading: str = ""


# The plainest name of a role comes first. `loss` beside `train_loss` is the loss of the steps
# themselves (nanoGPT and Hugging Face keep `train loss` for means over many of them).
_NAMES = {
    "step": (
        "step steps global_step iter iteration iters iterations it trainer_global_step "
        "train_global_step train_step current_step current_steps num_updates valid_num_updates "
        "update updates num_steps optimizer_step training_step batch batch_idx time_batch"
    ),
    "tokens": (
        "tokens tokens_seen num_tokens_seen total_tokens consumed_tokens tokens_consumed "
        "num_input_tokens_seen trained_tokens tokens_processed num_tokens n_tokens train_tokens "
        "total_tokens_seen tokens_so_far time_token"
    ),
    "train_loss": (
        "loss train_loss training_loss train lm_loss loss_train loss_training train_loss_step "
        "loss_step trainloss train_lm_loss train_ce_loss ce_loss ce train_ce cross_entropy_loss "
        "cross_entropy train_cross_entropy nll_loss nll train_nll xent tr_loss batch_loss "
        "train_batch_loss total_loss train_total_loss loss_total avg_loss mean_loss loss_avg "
        "average_loss avr_loss running_loss step_loss reduced_train_loss loss_train_total "
        "metrics_train_language_cross_entropy train_loss_epoch loss_epoch epoch_loss"
    ),
    "val_loss": (
        "val_loss eval_loss validation_loss valid_loss loss_val loss_eval loss_valid "
        "loss_validation val valid validation eval dev_loss loss_dev vloss valloss heldout_loss "
        "val_lm_loss eval_lm_loss val_ce val_ce_loss val_cross_entropy val_nll eval_nll "
        "valid_nll_loss valid_nll eval_metrics_eval_language_cross_entropy "
        "metrics_eval_language_cross_entropy val_loss_epoch val_loss_step test_loss loss_test"
    ),
    "learning_rate": (
        "learning_rate lr train_lr learningrate current_lr lr_0 learning_rate_0 lr_group_0 "
        "optimizer_lr optim_lr base_lr"
    ),
    "grad_norm": (
        "grad_norm gradient_norm gradnorm gnorm norm total_grad_norm grad_norm_total "
        "global_grad_norm grad_2_0_norm_total grad_2_norm_total gradient_norms optim_grad_norm "
        "total_norm grad"
    ),
    "loss_scale": "loss_scale lossscale scaler_scale amp_scale grad_scale scale",
    "epoch": "epoch epochs current_epoch num_epoch ep",
}

# Names, unit, reading. Without a unit the size of the numbers decides; without a reading their
# course does.
_TIMES = (
    (
        "steps_per_sec steps_per_second steps_per_s steps_sec steps_s step_s step_sec it_per_sec "
        "it_per_s it_per_second it_s it_sec its iters_per_sec iters_per_second iter_s iter_sec "
        "iters_s iters_sec iterations_per_second iterations_per_sec updates_per_sec ups sps "
        "batches_per_sec batches_per_second",
        "steps/s",
        PER_STEP,
    ),
    (
        "tokens_per_sec tokens_per_second tokens_per_s tokens_sec tokens_s tok_s tok_sec "
        "tok_per_sec tok_per_second tps wps tokens_second",
        "tokens/s",
        PER_STEP,
    ),
    (
        "samples_per_second samples_per_sec samples_s samples_sec samples_per_s "
        "examples_per_second examples_per_sec",
        "samples/s",
        PER_STEP,
    ),
    (
        "step_time iter_time iteration_time time_per_step time_per_iter time_per_iteration "
        "time_per_it step_duration batch_time dt train_step_time elapsed_time_per_iteration "
        "step_latency time_step time_iter train_step_timing",
        "",
        PER_STEP,
    ),
    (
        "step_seconds seconds_per_step sec_per_step step_time_s step_time_sec step_time_seconds "
        "s_it sec_it s_step sec_per_it s_per_step s_per_it s_iter sec_iter seconds_step dt_s "
        "iter_time_s train_step_timing_in_s s_batch elapsed_time_per_iteration_s time_per_step_s",
        "s",
        PER_STEP,
    ),
    (
        "step_time_ms iter_time_ms ms_batch ms_per_batch "
        "dt_ms ms_per_step ms_step ms_per_iter ms_it step_ms iter_ms "
        "elapsed_time_per_iteration_ms time_per_step_ms time_per_iteration_ms",
        "ms",
        PER_STEP,
    ),
    ("step_avg avg_step_time step_time_avg mean_step_time", "", RUNNING_MEAN),
    ("step_avg_ms avg_step_time_ms step_time_avg_ms mean_step_time_ms", "ms", RUNNING_MEAN),
    (
        "seconds elapsed_s elapsed_sec elapsed_seconds wall_time_s total_seconds train_seconds "
        "train_time_s wall_s wall_seconds total_time_s training_seconds elapsed_time_s "
        "elapsed_bar",
        "s",
        CUMULATIVE,
    ),
    (
        "elapsed_ms train_time_ms total_ms total_time_ms wall_time_ms wall_ms elapsed_time_ms "
        "training_time_ms",
        "ms",
        CUMULATIVE,
    ),
    ("elapsed_min elapsed_minutes minutes train_minutes", "min", CUMULATIVE),
    ("elapsed_h elapsed_hours hours train_hours", "h", CUMULATIVE),
    (
        "elapsed elapsed_time wall_time walltime wall_clock wall wallclock total_time train_time "
        "training_time time_elapsed runtime total_elapsed cumulative_time",
        "",
        CUMULATIVE,
    ),
    ("timestamp datetime date created_at logged_at", "clock", CUMULATIVE),
    ("time_s time_sec time_seconds duration_s", "s", ""),
    ("time_ms ms duration_ms", "ms", ""),
    ("time duration secs sec t", "", ""),
)

_BREAKS = re.compile(r"[\s/.\-:()\[\]|]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_MEANS_VALIDATION = re.compile(r"(?:eval|val|valid|validation|dev|test)_\w*loss")
_MEANS_RATE = re.compile(
    r"lr_(?:adam|sgd|lion|muon|adafactor|rmsprop|group|pg|head|embed|decoupled)\w*"
)
_PREFIXES = ("train_", "training_", "perf_", "metrics_", "optim_", "throughput_")


def _meanings() -> dict[str, Meaning]:
    table = {
        name: Meaning(role, rank, "nats" if role.endswith("_loss") else "")
        for role, names in _NAMES.items()
        for rank, name in enumerate(names.split())
    }
    for rank, (names, unit, reading) in enumerate(_TIMES):
        role = "seconds" if reading == CUMULATIVE else "step_seconds"
        table |= {name: Meaning(role, rank, unit, reading) for name in names.split()}
    return table


_MEANINGS = _meanings()
_RANK_BY_PATTERN = 1000


def normal_name(name: str) -> str:
    """`Train/Loss`, `train-loss`, `trainLoss` and `train loss` are one name: `train_loss`."""
    return _BREAKS.sub("_", _HUMP.sub("_", name.strip())).strip("_").lower()


def _without_prefixes(name: str) -> tuple[str, bool]:
    """What a name says beside where it belongs, and whether it belongs to training."""
    is_train = False
    while name not in _MEANINGS:
        prefix = next((each for each in _PREFIXES if name.startswith(each)), None)
        if prefix is None:
            break
        is_train = is_train or prefix.startswith("train")
        name = name.removeprefix(prefix)
    return name, is_train


@lru_cache(maxsize=4096)
def meaning_of(name: str) -> Meaning | None:
    """What a column's name says; None where it says nothing."""
    normal = normal_name(name)
    if name == "_step":  # counts calls of wandb.log, not steps, where both are there
        return Meaning("step", _RANK_BY_PATTERN)
    found = _MEANINGS.get(normal)
    if found is not None:
        return found
    bare, is_train = _without_prefixes(normal)
    rest = _MEANINGS.get(bare) if bare != normal else None
    if rest is not None and not (is_train and rest.role == "val_loss"):
        return Meaning(rest.role, rest.rank + 100, rest.unit, rest.reading)
    if _MEANS_VALIDATION.fullmatch(normal):
        return Meaning("val_loss", _RANK_BY_PATTERN, "nats")
    if _MEANS_RATE.fullmatch(bare):
        return Meaning("learning_rate", _RANK_BY_PATTERN)
    return None
