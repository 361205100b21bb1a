"""One measurement in a process of its own: `python -m tests.benchmarks.arm NAME PAYLOAD RESULT`.

NAME is a module of this folder with a function `run` from a JSON payload to a JSON result.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from pathlib import Path

from tests.benchmarks.descendants import adopt_orphans


def main() -> None:
    """Run the arm that the command line names."""
    name, payload, result = sys.argv[1:]
    warnings.simplefilter("ignore")  # what libraries foretell is nothing that is measured here
    adopt_orphans()
    module = importlib.import_module(f"tests.benchmarks.{name}")
    outcome = module.run(json.loads(Path(payload).read_text("utf-8")))
    Path(result).write_text(json.dumps(outcome, allow_nan=False), "utf-8")


if __name__ == "__main__":
    main()
