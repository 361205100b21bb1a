"""Small studies, and results that nobody trained."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeper.curves import Point, Stop, StopReason, write_curve
from sweeper.search import attributes as attrs
from sweeper.search.claim import Claim
from sweeper.search.outcomes import Result
from sweeper.search.storage import trial_folder
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec
from sweeper.training.lost import keep_lost

TOKENS_PER_TRIAL = 4_000

PLAIN: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "model": "builtin:untrained",
    "data": {"train": "./qa.md", "validation": "10%"},
    "evaluate": {"block_size": 16, "every_tokens": 1000, "tokens": 256},
    "budget": {"trials": 6, "tokens_per_trial": TOKENS_PER_TRIAL},
    "baseline": {
        "hyperparameters": {
            "block_size": 32,
            "batch_size": 8,
            "accumulation": 1,
            "learning_rate": 1e-3,
            "rank": 2,
            "alpha": 4,
            "precision": "fp32",
        }
    },
    "space": {
        "block_size": [16, 32],
        "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
        "rank": {"low": 1, "high": 4},
    },
    "search": {"sampler": "random", "startup_trials": 3},
    "prune": {"spike": "default", "plateau": "default", "peers": "off"},
    "workers": {"count": 1, "backend": "inline", "threads": 1},
}


def plain(**changes: Any) -> dict[str, Any]:
    """The small study as a file would say it, with some of its keys changed.

    A mapping is laid over the one that is there, except for the space.
    """
    merged = dict(PLAIN)
    for key, value in changes.items():
        over = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = {**merged[key], **value} if over and key != "space" else value
    return merged


def spec_at(folder: Path, **changes: Any) -> StudySpec:
    """The small study, as if read from a folder."""
    return StudySpec.model_validate(plain(**changes)).at(folder / "study.yaml")


def result(
    reason: StopReason = StopReason.COMPLETED,
    val_loss: float | None = 5.0,
    tokens: int = TOKENS_PER_TRIAL,
    **more: Any,
) -> Result:
    """How a trial might have ended."""
    return Result(Stop(reason, f"it was {reason.value}"), val_loss, tokens, 1.0, **more)


def claimed(store: StudyStore, owner: str = "me") -> Claim:
    """A trial; there must be one."""
    claim = store.claim(owner)
    assert claim is not None
    return claim


def run_faked(store: StudyStore, owner: str = "me") -> list[Claim]:
    """Work through a study at no cost: a trial's loss is made from its recipe."""
    done = []
    while (claim := store.claim(owner)) is not None:
        loss = 4.0 + abs(claim.hyperparameters.learning_rate - 0.01) + claim.number / 1000
        store.report(claim, 1000, loss + 0.5)
        store.report(claim, TOKENS_PER_TRIAL, loss)
        assert store.finish(claim, result(val_loss=loss))
        done.append(claim)
    return done


def trained(store: StudyStore, number: int, tokens: int, *, kept: int | None = None) -> None:
    """Let a trial's folder say that it was trained up to some tokens, a second for each thousand.

    Args:
        store: Its study.
        number: The trial's.
        tokens: Of its last point.
        kept: Tokens of the checkpoint from which another attempt has gone on; None: none has.
    """
    folder = trial_folder(store.spec, number)
    folder.mkdir(parents=True, exist_ok=True)
    points = [Point(t, t, seconds=t / 1000) for t in (0, tokens if kept is None else kept, tokens)]
    if kept is not None:
        keep_lost(folder, points, 2)
    write_curve(folder / "curve.jsonl", points[:2])


def params(store: StudyStore) -> list[dict[str, Any]]:
    """What every trial drew."""
    return [trial.params for trial in store.trials()]


def overwrite_lease(store: StudyStore, number: int, **changes: Any) -> None:
    """Let a trial's lease say something else."""
    trial = store.trials()[number]
    lease = {**trial.user_attrs[attrs.LEASE], **changes}
    store.storage.set_trial_user_attr(trial._trial_id, attrs.LEASE, lease)


def claim_and_print(folder: str, times: int) -> None:
    """Claim trials of the small study in a process of its own, and leave them unfinished."""
    store = StudyStore(spec_at(Path(folder), budget={"trials": 12}), create=False)
    for _ in range(times):
        claim = store.claim("other process")
        print("none" if claim is None else claim.number, flush=True)
    sys.stdin.read()  # hold them until the test says so: a dead process's are anybody's
