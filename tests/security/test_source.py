"""The rules on the package's text, and on texts that break them."""

from __future__ import annotations

from pathlib import Path

import pytest

import sweeper
from tests.security.rules import offences, offences_below


def test_the_package_keeps_the_rules() -> None:
    assert sweeper.__file__ is not None
    assert offences_below(Path(sweeper.__file__).parent) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import os, dill.source",
        "from pickle import loads",
        "from torch import load",
        "from yaml import unsafe_load",
        "eval(text)",
        "exec(text, {})",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "subprocess.run(text, shell=flag)",
        "yaml.load(text, Loader=yaml.Loader)",
        "joblib.load(path)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.savez(path, allow_pickle=flag)",
        "AutoTokenizer.from_pretrained(folder)",
        "AutoModel.from_pretrained(folder, trust_remote_code=trusted)",
    ],
)
def test_an_offence_is_found(line: str) -> None:
    assert len(offences(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "re.compile(text)",
        "model.eval()",
        "yaml.compose(text)",
        "subprocess.run([program], shell=False)",
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "AutoModel.from_pretrained(folder, trust_remote_code=False)",
        "Bank.load(path)",
    ],
)
def test_what_is_safe_is_no_offence(line: str) -> None:
    assert offences(line) == []
