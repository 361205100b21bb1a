"""What one section demands of another."""

from __future__ import annotations

import pytest

from sweeper.study.storage_url import ALLOWED

from .conftest import MINIMAL, Problems

HYPOTHESES = "hypotheses=[{name: a, change: {rank: 4}}, {name: b, change: {rank: 2}}]"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["budget.trials=2", HYPOTHESES],
            "--set  budget.trials: 2 is too few for the baseline + 2 hypotheses "
            "(allowed: at least 3)",
        ),
        (
            ["search.sampler=list", "trials=[{rank: 4}, {}, {rank: 2}]"],
            "4:18  budget.trials: 3 is too few for the baseline + 0 hypotheses + 3 listed trials "
            "(allowed: at least 4)",
        ),
        (
            ["engine=peft", "workers.slots=2"],
            "--set  workers.slots: peft trains one trial at a time in a worker, not 2 "
            "(allowed: auto, 1; or more workers; or engine: packed)",
        ),
        (
            ["budget.tokens=100k"],
            "--set  budget.tokens: 100000 tokens are not enough for one trial "
            "(allowed: at least budget.tokens_per_trial, 240000)",
        ),
        (
            ["evaluate.every_tokens=241k"],
            "--set  evaluate.every_tokens: 241000 is beyond the trial's end "
            "(allowed: at most budget.tokens_per_trial, 240000)",
        ),
        (
            ["evaluate.first_tokens=41k"],
            "--set  evaluate.first_tokens: 41000 is beyond the next evaluation "
            "(allowed: at most evaluate.every_tokens, 40000)",
        ),
        (
            ["evaluate.tokens=127"],
            "--set  evaluate.tokens: 127 tokens do not fill one block "
            "(allowed: at least evaluate.block_size, 128)",
        ),
        (
            ["evaluate.block_size=300000"],
            "--set  evaluate.block_size: a block of 300000 tokens is longer than a trial "
            "(allowed: at most budget.tokens_per_trial, 240000)",
        ),
        (
            ["space.block_size=[64, 300000]"],
            "--set  space.block_size.1: a block of 300000 tokens is longer than a trial "
            "(allowed: at most budget.tokens_per_trial, 240000)",
        ),
        (
            ["space.block_size={low: 64, high: 300000}"],
            "--set  space.block_size.high: a block of 300000 tokens is longer than a trial "
            "(allowed: at most budget.tokens_per_trial, 240000)",
        ),
        (
            ["baseline.hyperparameters.block_size=300000"],
            "--set  baseline.hyperparameters.block_size: a block of 300000 tokens is longer than "
            "a trial (allowed: at most budget.tokens_per_trial, 240000)",
        ),
        (
            ["hypotheses=[{name: a, change: {block_size: 300000}}]"],
            "--set  hypotheses.0.change.block_size: a block of 300000 tokens is longer than a "
            "trial (allowed: at most budget.tokens_per_trial, 240000)",
        ),
        (
            ["search.sampler=list", "trials=[{block_size: 300000}]"],
            "--set  trials.0.block_size: a block of 300000 tokens is longer than a trial "
            "(allowed: at most budget.tokens_per_trial, 240000)",
        ),
        (
            ["evaluate.split=test", "data.test=5%"],
            "--set  evaluate.split: the sampler tpe would choose by the test documents "
            "(allowed: validation; or test with search.sampler: list)",
        ),
        (
            ["evaluate.split=test", "search.sampler=list", "trials=[{rank: 4}]"],
            "--set  evaluate.split: there are no test documents "
            "(allowed: validation; or test with data.test)",
        ),
        (
            ["data.validation=50%", "data.test=50%"],
            "--set  data.test: with 50% for validation nothing is left to train on "
            "(allowed: less than 100% together)",
        ),
        (
            ["space={}"],
            "--set  space: the sampler tpe has nothing to search "
            "(allowed: one hyperparameter or more, or search.sampler: list)",
        ),
        (
            ["search.sampler=grid"],
            "5:24  space.learning_rate: the sampler grid needs a list of values or a step "
            "(allowed: a list, or {low, high, step})",
        ),
        (
            ["search.sampler=grid", "space={seed: {low: 0, high: 100000, step: 1}}"],
            "--set  space: the grid has 100001 points (allowed: at most 100000)",
        ),
        (
            ["search.sampler=list"],
            "1:1  trials: the sampler list needs trials "
            "(allowed: a list of changes to the baseline)",
        ),
        (
            ["trials=[{rank: 4}]"],
            "--set  trials: the sampler tpe does not run listed trials "
            "(allowed with search.sampler: list)",
        ),
        (
            ["hypotheses=[{name: a, change: {rank: 4}}, {name: a, change: {rank: 2}}]"],
            "--set  hypotheses.1.name: 'a' is used twice (allowed: a name of its own)",
        ),
        (
            ["hypotheses=[{name: a, change: {rank: 8, warmup: 0%}}]"],
            "--set  hypotheses.0.change: the baseline has these values already "
            "(allowed: a change to it)",
        ),
        (
            ["seed=5", "hypotheses=[{name: a, change: {seed: 5}}]"],
            "--set  hypotheses.0.change: the baseline has these values already "
            "(allowed: a change to it)",
        ),
        (
            ["hypotheses=[{name: a, change: {}}]"],
            "--set  hypotheses.0.change: nothing is changed (allowed: at least one hyperparameter)",
        ),
        (
            ["hypotheses=[{name: a, change: {rank: 4}, expect: loss < 3}]"],
            "--set  hypotheses.0.expect: cannot read the text 'loss < 3' as an expectation "
            "(allowed: speed or val_loss, then < or >, then baseline)",
        ),
        (
            ["workers={backend: inline, count: 2}"],
            "--set  workers.count: inline is one process, not 2 (allowed with inline: auto, 1)",
        ),
        (
            ["workers.count=0"],
            "--set  workers.count: cannot use the number 0 "
            "(allowed: auto, or a whole number, at least 1)",
        ),
        (
            ["storage=study.db"],
            f"--set  storage: cannot use the text 'study.db' (allowed: {ALLOWED})",
        ),
        (
            ["storage=mysql://me:secret@host/db"],
            f"--set  storage: cannot use what stands here (allowed: {ALLOWED})",
        ),
        (
            ["data.train=nowhere.md"],
            "--set  data.train: there is no file or folder nowhere.md beside the study file "
            "(allowed: builtin:pydoc-qa, or a path relative to the study file)",
        ),
        (
            ["data.train=" + "x" * 4000],
            "--set  data.train: there is no file or folder "
            + "x" * 4000
            + " beside the study file "
            "(allowed: builtin:pydoc-qa, or a path relative to the study file)",
        ),
        (
            ["baseline.recorded=."],
            "--set  baseline.recorded: there is no file . beside the study file "
            "(allowed: a path relative to it)",
        ),
        (
            ["data.train=builtin:pydoc"],
            "--set  data.train: the text 'builtin:pydoc' is not one of the choices, did you mean "
            "builtin:pydoc-qa? (allowed: builtin:pydoc-qa, a path to .md, .txt or .jsonl)",
        ),
        (
            ["prune.spike=on"],
            "--set  prune.spike: cannot use the text 'on' "
            "(allowed: default, off, or {patience, threshold})",
        ),
        (
            ["prune={spike: }"],
            "--set  prune.spike: cannot use nothing "
            "(allowed: default, off, or {patience, threshold})",
        ),
    ],
)
def test_refused(overrides: list[str], expected: str, problems: Problems) -> None:
    assert problems(MINIMAL, *overrides) == [expected]


@pytest.mark.parametrize(
    "overrides",
    [
        [HYPOTHESES],
        ["search.sampler=list", "trials=[{rank: 4}, {}]", "space={}"],
        ["search.sampler=grid", "space={rank: [4, 8], alpha: {low: 1, high: 3, step: 1}}"],
        ["evaluate.every_tokens=240k", "budget.tokens=240k"],
        ["evaluate.first_tokens=40k"],
        # The same effective batch, but a change all the same: it may be faster.
        ["hypotheses=[{name: a, change: {batch_size: 4, accumulation: 2}}]"],
        ["workers={backend: inline, count: 1}"],
        ["storage=postgresql://host/db"],
        ["storage=grpc://head:13000"],
        ["storage=journal:///study.log"],
        ["storage=shared/study.log"],
        ["data.train=."],
    ],
)
def test_accepted(overrides: list[str], problems: Problems) -> None:
    assert problems(MINIMAL, *overrides) == []


def test_checks_still_speak_when_another_section_is_wrong(problems: Problems) -> None:
    got = problems(MINIMAL + "seed: x\n", "budget.trials=1", HYPOTHESES, "baseline.recorded=no.csv")
    assert [problem.split(": ")[0] for problem in got] == [
        "6:7  seed",
        "--set  budget.trials",
        "--set  baseline.recorded",
    ]
