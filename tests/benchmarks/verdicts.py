"""What was asked for, held against what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sweeper.study import Hyperparameters
from tests.benchmarks.equality import (
    BF16_TOLERANCE,
    FP32_TOLERANCE,
    Difference,
    Losses,
    best_trial,
    differences,
)
from tests.benchmarks.sizes import Size

Content = Mapping[str, Any]  # of one part's JSON file
TRIAL_S = 30.0  # the trial that orchestration is a share of


@dataclass(frozen=True)
class Verdict:
    """One line of the table.

    Attributes:
        what: What was asked for.
        value: As measured; None where it was not.
        floor: What it has to reach.
        aim: What it is hoped to.
        unit: `x`, `%` for shares, or `ms`.
        at_most: Whether less is better.
        spread: The least and the most over repetitions, where there are some.
        undecided: Why this machine cannot decide it; empty where it can.
    """

    what: str
    value: float | None
    floor: float
    aim: float
    unit: str = "x"
    at_most: bool = False
    spread: tuple[float, float] | None = None
    undecided: str = ""

    @property
    def word(self) -> str:
        """How it stands."""
        if self.value is None or self.undecided:
            return "not decided here"
        if self._reaches(self.aim):
            return "aim reached"
        return "floor reached" if self._reaches(self.floor) else "MISSED"

    def _reaches(self, mark: float) -> bool:
        assert self.value is not None, "asked of measured values only"
        return self.value <= mark if self.at_most else self.value >= mark


_RATIOS: tuple[tuple[str, str, str, str, float, float, bool], ...] = (
    # what, size, slower arm, faster arm, floor, aim, whether it was asked with bf16 in mind
    ("T: B0 / ours", "T", "B0", "ours", 4, 8, False),
    ("M: B0 / ours", "M", "B0", "ours", 3, 5, True),
    ("M: B1 / ours", "M", "B1", "ours", 1.5, 2.5, True),
    ("M, fp32 only: B0 / ours", "M", "B0", "ours, fp32", 1.6, 2, False),
    ("default study: B0 / ours", "default", "B0", "ours", 3.5, 6, False),
    ("GPT-2, 8 x 128, CUDA: B0 / ours", "cuda-128", "B0", "ours", 8, 20, False),
    ("GPT-2, 8 x 1,024, CUDA: B0 / ours", "cuda-1024", "B0", "ours", 1.5, 3, False),
)
_NO_BF16 = "no bf16 arithmetic on this machine"
_NO_CUDA = "no CUDA device on this machine"


def verdicts(parts: Mapping[str, Content]) -> list[Verdict]:
    """Every number that was asked for, of the parts that are there."""
    return [
        *_ratios(parts),
        *_alone(parts),
        *_utilisation(parts),
        *_orchestration(parts),
        *_beside(parts),
    ]


def _ratios(parts: Mapping[str, Content]) -> Iterator[Verdict]:
    for what, size, slow, fast, floor, aim, wants_bf16 in _RATIOS:
        if size not in parts:
            continue
        part = parts[size]
        if "skipped" in part:
            yield Verdict(what, None, floor, aim, undecided=_NO_CUDA)
            continue
        # Without bf16 there is one arm of ours, and it is the fp32 one.
        fast = fast if fast in part["runs"] else "ours"
        value, spread = ratio(part, slow, fast, "net_s")
        lacking = wants_bf16 and not part["machine"]["has_bf16"]
        yield Verdict(what, value, floor, aim, spread=spread, undecided=_NO_BF16 * lacking)


def ratio(part: Content, slow: str, fast: str, key: str) -> tuple[float, tuple[float, float]]:
    """Of two arms' medians; its least and most over the repetitions in their order."""
    above, below = (seconds_of(part, arm, key) for arm in (slow, fast))
    pairs = [a / b for a, b in zip(above, below, strict=False)]  # B1 may have fewer
    return statistics.median(above) / statistics.median(below), (min(pairs), max(pairs))


def seconds_of(part: Content, arm: str, key: str) -> list[float]:
    """One number of every repetition of an arm; `process.` before a key asks its process.

    `net_s` is the wall clock without imports; ours are those of a worker, measured apart.
    """
    if key == "net_s":
        ours = part["imports_s"]
        return [
            run["wall_s"] - (ours if run["imports_s"] is None else run["imports_s"])
            for run in part["runs"][arm]
        ]
    place, _, name = key.rpartition(".")
    return [(run[place] if place else run)[name] for run in part["runs"][arm]]


def _alone(parts: Mapping[str, Content]) -> Iterator[Verdict]:
    for size in ("T", "M") if "alone" in parts else ():
        runs = parts["alone"][size]["runs"]
        lean, ours = ([run["step_s"] for run in runs[arm]] for arm in ("lean", "alone"))
        speeds = [a / b for a, b in zip(lean, ours, strict=True)]
        value = statistics.median(lean) / statistics.median(ours)
        spread = min(speeds), max(speeds)
        yield Verdict(f"{size}: one trial alone / hand-written loop", value, 0.97, 1, spread=spread)


def _utilisation(parts: Mapping[str, Content]) -> Iterator[Verdict]:
    for what, size, dtype, floor, aim in (
        ("M: FLOP/s over GEMM peak, bf16", "M", "bf16", 0.45, 0.65),
        ("GPT-2, 8 x 128, CUDA: FLOP/s over GEMM peak, bf16", "cuda-128", "bf16", 0.25, 0.4),
        ("GPT-2, 8 x 1,024, CUDA: FLOP/s over GEMM peak, bf16", "cuda-1024", "bf16", 0.25, 0.4),
    ):
        if size not in parts or "peak" not in parts:
            continue
        if "skipped" in parts[size]:
            yield Verdict(what, None, floor, aim, "%", undecided=_NO_CUDA)
            continue
        if parts[size]["machine"]["has_bf16"]:
            yield Verdict(what, utilisation(parts, size, dtype), floor, aim, "%")
        else:
            share = utilisation(parts, size, "fp32")
            yield Verdict(f"{what} (here fp32)", share, floor, aim, "%", undecided=_NO_BF16)


def utilisation(parts: Mapping[str, Content], name: str, dtype: str) -> float:
    """Achieved FLOP/s of our arm's whole list over the machine's own GEMM peak.

    Evaluations count as time, and not as work.
    """
    part = parts[name]
    achieved = total_flops(part) / statistics.median(seconds_of(part, "ours", "net_s"))
    return achieved / max(v for k, v in parts["peak"].items() if k.startswith(f"{dtype}/"))


def total_flops(part: Content) -> float:
    """Of training a size's whole list; evaluation left out."""
    size = Size(**part["size"])
    recipes = [Hyperparameters.model_validate(recipe) for recipe in part["recipes"]]
    return sum(
        size.flops_per_token(recipe.block_size, recipe.rank)
        * recipe.blocks_within(size.tokens_per_trial)
        * recipe.block_size
        for recipe in recipes
    )


def evaluation_flops(part: Content) -> float:
    """Of the evaluation that every trial of a size ends with: the forward passes."""
    size = Size(**part["size"])
    recipes = [Hyperparameters.model_validate(recipe) for recipe in part["recipes"]]
    per_token = sum(size.forward_flops_per_token(size.block_size, r.rank) for r in recipes)
    return size.evaluation_tokens * per_token


def _orchestration(parts: Mapping[str, Content]) -> Iterator[Verdict]:
    for run in parts["orchestration"]["runs"] if "orchestration" in parts else ():
        if run["num_trials"] == 10_000:
            spread = tuple(ms / 1000 / TRIAL_S for ms in run["range_ms"])
            yield Verdict(
                f"orchestration at 10,000 trials, {run['sampler']}: share of a 30 s trial",
                run["total_ms"] / 1000 / TRIAL_S,
                0.01,
                0.003,
                "%",
                at_most=True,
                spread=(spread[0], spread[1]),
            )


def _beside(parts: Mapping[str, Content]) -> Iterator[Verdict]:
    for run in parts["beside"]["runs"] if "beside" in parts else ():
        at_once = f"{run['slots']} at a time"
        share = run["evaluation_s"] / run["whole_s"]
        what = f"evaluation: share of a trial's time, {at_once}"
        yield Verdict(what, share, 0.05, 0.05, "%", at_most=True)
        what = f"a trial's set-up in a warm worker, {at_once}"
        yield Verdict(what, run["setup_ms"], 50, 50, "ms", at_most=True)


@dataclass(frozen=True)
class Equality:
    """Whether an arm found the same as B0.

    Attributes:
        arm: The other arm.
        tolerance: In nats, for stable trials.
        largest: The largest difference among trials within it; None where there is none.
        differing: The trials beyond it.
        best: The best trial: B0's, the other's, and B0's where it computes as the other does.
    """

    arm: str
    tolerance: float
    largest: float | None
    differing: tuple[Difference, ...]
    best: tuple[int | None, int | None, int | None]

    @property
    def word(self) -> str:
        """Equal, or what is not."""
        faults = []
        if self.best[0] != self.best[1]:
            faults.append("another best trial")
        stable = [d.number for d in self.differing if not d.is_unstable]
        if stable:
            faults.append(f"stable trials differ: {', '.join(map(str, stable))}")
        beyond = [d.number for d in self.differing if d.is_unstable and not d.is_within]
        if beyond:
            faults.append(f"beyond B0's own spread: {', '.join(map(str, beyond))}")
        return "equal" if not faults else "NOT EQUAL: " + "; ".join(faults)


def equality(part: Content, arm: str) -> Equality:
    """Compare an arm with B0, trial by trial."""
    reference, other = losses_of(part, "B0"), losses_of(part, arm)
    is_bf16 = uses_bf16(part, arm)
    tolerance = BF16_TOLERANCE if is_bf16 else FP32_TOLERANCE
    # Parts of before have none in bf16: it was not at hand.
    reruns = part.get("reruns_bf16", {}) if is_bf16 else part["reruns"]
    differing = differences(reference, other, reruns, tolerance)
    beyond = {difference.number for difference in differing}
    gaps = [
        abs(a - b)
        for number, (a, b) in enumerate(zip(reference, other, strict=True))
        if number not in beyond and a is not None and b is not None
    ]
    in_bf16 = _with_medians(reference, reruns) if is_bf16 else reference
    best = best_trial(reference), best_trial(other), best_trial(in_bf16)
    return Equality(arm, tolerance, max(gaps, default=None), tuple(differing), best)


def _with_medians(losses: Losses, reruns: Mapping[str, Losses]) -> list[float | None]:
    """Losses, those of the trials that ran again replaced by what that came to."""
    replaced = list(losses)
    for number, again in reruns.items():
        known = [loss for loss in again if loss is not None]
        replaced[int(number)] = statistics.median(known) if len(known) == len(again) else None
    return replaced


def losses_of(part: Content, arm: str) -> list[float | None]:
    """Final losses of an arm's first repetition."""
    return [trial["val_loss"] for trial in part["runs"][arm][0]["trials"]]


def uses_bf16(part: Content, arm: str) -> bool:
    """Whether an arm or B0 computed in bf16, so that the wider tolerance holds."""
    notes = [part["runs"][name][0]["notes"] for name in ("B0", arm)]
    tuned = any(note.get("settings", {}).get("bf16", False) for note in notes)
    return tuned or "bf16" in notes[1].get("precisions", ())
