"""The same run once more: what it tells where no change of a hyperparameter is advised."""

from __future__ import annotations

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.diagnosis import ProposedTest
from sweeper.diagnosis.excursion import SERIES_WORDS
from sweeper.diagnosis.invocation import choose_horizon, command_line, remark_on
from sweeper.diagnosis.last_good import first_damage
from sweeper.diagnosis.outlook import predict_unchanged

_OTHER_SEED = 18
_UNFORETOLD = "no loss is foretold: what counts is whether it comes again"
# After the first advice is followed: what the same run then shows, and what it shows if not.
_AFTER_THE_FIX = {
    FindingKind.EVAL_NOT_TRACKING: (
        "After the first advice: validation losses that differ from one evaluation to the next.",
        "All validation losses are one number again.",
    ),
    FindingKind.WEIGHTS_NOT_UPDATING: (
        "After the first advice: training losses that no longer repeat to the last digit.",
        "The losses of one epoch are those of the epoch before again.",
    ),
    FindingKind.THROUGHPUT_DROP: (
        "In a fresh process: as fast as this run was at first means that something grew in the "
        "old one, slow from the first step on means the machine.",
        "It is fast at first and slows down at another step.",
    ),
    FindingKind.OVERFIT: (
        "After the first advice: a best validation loss below that of this run.",
        "The best validation loss is no lower.",
    ),
}


def repeat_run(case: Case, command: str | None) -> ProposedTest | None:
    """A test without a change of the recipe; None where nothing was found."""
    damage = first_damage(case)
    if damage is not None:
        return _with_other_batches(case, damage, command)
    for finding in case.findings:
        if finding.kind in _AFTER_THE_FIX:
            return _after_the_fix(case, finding, command)
    return _for_the_spread(case, command) if case.findings else None


def _other_seed(case: Case) -> dict[str, object]:
    seed = case.config.number("seed")
    return {"seed": _OTHER_SEED if seed is None else int(seed) + 1}


def _with_other_batches(case: Case, damage: Finding, command: str | None) -> ProposedTest:
    """Does the break come again?"""
    change, what = _other_seed(case), phrases.KIND_WORDS[damage.kind]
    return ProposedTest(
        command=command_line(case, change, choose_horizon(case), command),
        expected=(
            f"With other batches: no {what} near step {damage.start_step:,} points to the data it "
            "read there, the same again points to the settings or the code."
        ),
        low=None,
        high=None,
        basis=_UNFORETOLD,
        refuted_by=f"The {what} comes at another step: then neither explains it.",
        remark=remark_on(case, change, command),
    )


def _after_the_fix(case: Case, finding: Finding, command: str | None) -> ProposedTest:
    expected, refuted_by = _AFTER_THE_FIX[finding.kind]
    return ProposedTest(
        command=command_line(case, {}, choose_horizon(case), command),
        expected=expected,
        low=None,
        high=None,
        basis=_UNFORETOLD,
        refuted_by=refuted_by,
    )


def _for_the_spread(case: Case, command: str | None) -> ProposedTest:
    """How much do two runs of one recipe differ? Every fix is measured against that."""
    change, horizon = _other_seed(case), choose_horizon(case)
    outlook = predict_unchanged(case, horizon)
    expected = "The difference from this run is what chance alone does; a fix must do more."
    if outlook is not None:
        expected = (
            f"With another seed, the {SERIES_WORDS[outlook.series]} loss ends at "
            f"{phrases.loss(outlook.low)} to {phrases.loss(outlook.high)}; the difference from "
            "this run is what chance alone does, and a fix must do more."
        )
    return ProposedTest(
        command=command_line(case, change, horizon, command),
        expected=expected,
        low=outlook.low if outlook else None,
        high=outlook.high if outlook else None,
        basis=outlook.basis if outlook else _UNFORETOLD,
        refuted_by="Another seed ends far below: then the flat stretch was chance.",
        remark=remark_on(case, change, command),
    )
