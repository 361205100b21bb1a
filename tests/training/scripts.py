"""Training scripts of a user's kind that train nothing: plain Python, done in no time."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from sweeper.curves import Stop
from sweeper.study import CommandEngine, Hyperparameters
from sweeper.training.command import run_command
from sweeper.training.command_manifest import CommandPlan
from sweeper.training.command_plan import plan_command
from sweeper.training.outcome import Outcome
from sweeper.training.watches import Lookout, Watch

RECIPE = Hyperparameters(block_size=16, batch_size=4, learning_rate=1e-5, warmup=0.1, seed=7)
TOKENS = 16 * 4 * 100  # a hundred steps

HEALTHY = """
    import os
    steps = int(os.environ["TRAINING_STEPS"])
    for step in range(0, steps + 1, 10):
        loss = 2 + 4 / (1 + step / 10)
        print(f"step {step}: train loss {loss:.4f}, val loss {loss + 0.1:.4f}")
"""


def write_script(folder: Path, text: str, name: str = "training.py") -> Path:
    """Write a script; the text may be indented as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(textwrap.dedent(text), "utf-8")
    return path


def engine(**settings: object) -> CommandEngine:
    """`training.py` by this very Python; no site packages, so that it starts at once."""
    command = [sys.executable, "-I", "-S", "-u", "training.py"]
    return CommandEngine.model_validate({"command": command, "grace": 2, **settings})


def plan(folder: Path, text: str = HEALTHY, **settings: object) -> CommandPlan:
    """A plan of a hundred steps with a script in `folder`, kept in its `trials/0003`."""
    write_script(folder, text)
    return plan_command(
        engine(**settings),
        folder,
        RECIPE,
        tokens=TOKENS,
        every_tokens=640,
        threads=1,
        folder=folder / "trials" / "0003",
    )


def run(
    folder: Path,
    text: str = HEALTHY,
    *,
    watch: Watch | None = None,
    interrupt: Callable[[], Stop | None] = lambda: None,
    **settings: object,
) -> Outcome:
    """Run a script as trial 3 of a study in `folder`."""
    trial = folder / "trials" / "0003"
    made = plan(folder, text, **settings)
    return run_command(made, trial, watch or Lookout(), interrupt, 3)
