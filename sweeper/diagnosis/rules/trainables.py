"""Whether that trains which should: an adapter that stays as it was, or more than an adapter."""

from __future__ import annotations

import numpy as np

from sweeper.curves import Curve, FindingKind
from sweeper.curves.series import Series
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, Evidence, RunConfig
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.readings import (
    Start,
    gradients_are_placeholders,
    start_of,
    summed_rate,
    trains_adapter,
)
from sweeper.diagnosis.remedies import proposed
from sweeper.diagnosis.rules.start import vocabulary_of
from sweeper.diagnosis.verdicts import (
    contradicted,
    lacking_setting,
    sentence,
    supported,
    untestable,
)

# A loss that fell by so much was trained.
_LEARNED_NATS = 0.3
_LEARNED_SHARE = 0.05
# A base that starts above this knows next to nothing of the text.
_BLIND_NATS = 7.0
# On an untrained base of GPT-2 small's shape, 500 steps to 2e-5 (sum of rates 5.5e-3), an adapter
# gained 0.9 (attention) to 1.1 nats (all linear maps), all weights 2.1: one run of each.
_ADAPTER_GAIN_NATS = 1.1
_SUSPICIOUS_GAIN_NATS = 1.7
_ADAPTER_SUM_OF_RATES = 1e-2
_COUNT_TOLERANCE = 0.02


def first_losses(curve: Curve) -> Series:
    """The training loss; the validation loss where there is none."""
    train = Series.of(curve, "train_loss")
    return train if len(train) else Series.of(curve, "val_loss")


def _decide_not_training(case: Case) -> Decision:
    for finding in case.of_kind(FindingKind.WEIGHTS_NOT_UPDATING):
        return supported(0.97, f"{sentence(finding.evidence)} Weights that change cannot do that.")
    _, norms = case.curve.over_steps("grad_norm")
    if len(norms) >= 3 and not np.any(norms) and not gradients_are_placeholders(case.curve):
        return supported(0.9, f"All {len(norms)} logged gradient norms are exactly 0.")
    losses = first_losses(case.curve).values
    if len(losses) < 2:
        return untestable("Fewer than two finite losses: nothing can be compared.")
    first, lowest = float(losses[0]), float(np.min(losses))
    gain = first - lowest
    if gain > max(_LEARNED_NATS, _LEARNED_SHARE * abs(first)):
        return contradicted(
            0.9,
            f"The loss fell from {phrases.loss(first)} to {phrases.loss(lowest)}: weights that "
            "are used did change.",
            gain=gain,
        )
    for finding in case.of_kind(FindingKind.NEVER_LEARNED):
        return supported(
            0.3, f"{sentence(finding.evidence)} An adapter that gets no gradient looks like that."
        )
    return untestable(
        f"The loss fell by {phrases.loss(gain)} nats at most, and no losses repeat exactly: log "
        "the norm of the adapter's B matrices, which start at 0, to tell."
    )


def _advise_not_training(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="check-trainables",
            title="Check that the adapter's parameters are in the optimizer and get gradients",
            reason=(
                "The weights do not change. Usual reasons: the adapter was attached after the "
                "optimizer was made, gradient checkpointing without input gradients, or a rate "
                "of 0."
            ),
            refuted_by="The adapter's B matrices differ from 0 after the first optimizer step.",
            urgency=1,
        )
    )


def adapter_parameters(config: RunConfig) -> int | None:
    """How many weights a LoRA adapter on a GPT-2 has: rank x (inputs + outputs) for each map.

    None where rank, width, depth or modules are unknown, or other parts are trained too.
    """
    rank, width = config.number("rank"), config.number("hidden_size")
    layers, names = config.number("num_layers"), config.get("target_modules")
    if None in (rank, width, layers) or not isinstance(names, str) or config.get("train_also"):
        return None
    # Inputs plus outputs in widths; c_proj stands in the attention and in the perceptron.
    sides = {"c_attn": 1 + 3, "c_proj": (1 + 1) + (4 + 1), "c_fc": 1 + 4}
    if not set(names.split("+")) <= set(sides):
        return None
    assert rank is not None and width is not None and layers is not None
    return int(rank * width * layers * sum(sides[name] for name in set(names.split("+"))))


def _decide_wrong_trainables(case: Case) -> Decision:
    trained, expected = case.config.number("trained_parameters"), adapter_parameters(case.config)
    if trained is not None and expected:
        return _by_count(int(trained), expected)
    if not trains_adapter(case.config):
        return lacking_setting("rank", "and trained_parameters: whether an adapter alone trains")
    if case.config.get("train_also"):
        return untestable(
            "Parts of the base are trained by configuration; log the number of trained parameters "
            "and give it as trained_parameters with --config."
        )
    start = start_of(case.curve)
    if start is None or start.loss < _BLIND_NATS:
        begin = f"{phrases.loss(start.loss)} nats" if start else "unknown"
        return untestable(
            f"How fast an adapter alone can learn is known for untrained bases only (start: "
            f"{begin}): give trained_parameters, num_layers and hidden_size with --config."
        )
    return _by_speed(case, start)


def _by_count(trained: int, expected: int) -> Decision:
    numbers = f"{trained:,} parameters were trained; the configured adapter has {expected:,}"
    if abs(trained - expected) <= _COUNT_TOLERANCE * expected:
        return contradicted(0.95, f"{numbers}.")
    return supported(0.9, f"{numbers}: {'more' if trained > expected else 'less'} than meant.")


def _by_speed(case: Case, start: Start) -> Decision:
    """The first loss low enough to be suspicious, and how far Adam can have moved a weight by it.

    The bound holds for every weight of an adapter and of a base alike, so it decides nothing alone;
    the comparison with runs of known trainables does.
    """
    losses = first_losses(case.curve)
    is_fast = start.loss - losses.values >= _SUSPICIOUS_GAIN_NATS
    place = int(np.argmax(is_fast) if np.any(is_fast) else np.argmin(losses.values))
    step, loss = int(losses.steps[place]), float(losses.values[place])
    moved, gain = summed_rate(case, step), start.loss - loss
    if step <= start.step or moved is None:
        return untestable(
            "The rates up to the loss's first fall are not known: give learning_rate, schedule, "
            "warmup and total_steps with --config, or log the rate."
        )
    fell = f"The loss fell by {gain:.2f} nats up to step {step:,}"
    bound = (
        f"Adam moves a weight by about the rate a step at most, so no weight moved by more than "
        f"{phrases.rate(moved)}, the sum of the rates up to there."
    )
    numbers = {"gain": gain, "sum_of_rates": moved, "step": step}
    if not np.any(is_fast) or moved > _ADAPTER_SUM_OF_RATES:
        return contradicted(0.4, f"{fell}: an adapter alone may do that.", bound, **numbers)
    vocabulary = vocabulary_of(case)
    blind = f" (a blind guess among {vocabulary:,} is the start)" if vocabulary else ""
    return supported(
        0.45,
        f"{fell}, from {phrases.loss(start.loss)} to {phrases.loss(loss)}{blind}.",
        bound,
        f"With a sum of 5.5e-3 an adapter alone gained 0.9 to {_ADAPTER_GAIN_NATS} nats on an "
        "untrained base of GPT-2 small's shape, all weights together 2.1 (one run each): "
        "embeddings, or everything, were probably trained here.",
        **numbers,
    )


def _advise_wrong_trainables(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="list-trainables",
            title="List the parameters that have requires_grad, by name and count",
            reason=" ".join(decision.evidence[:1])
            + " If more than the adapter is trained, its rate is another one, about a tenth.",
            refuted_by="The list holds the adapter's A and B matrices and nothing else.",
            urgency=1,
        )
    )


ADAPTER_NOT_TRAINING = Rule(
    id="adapter-not-training",
    title="The adapter's weights do not change",
    needs=(Evidence.LOG,),
    decide=_decide_not_training,
    cannot_show="Why: the optimizer's list, the graph, or the rate.",
    experiment="Compare the adapter's B matrices before and after one step: they start at 0.",
    advise=_advise_not_training,
    explains_stall=True,
)
WRONG_TRAINABLES = Rule(
    id="wrong-trainables",
    title="Other weights are trained than the configuration says",
    needs=(Evidence.LOG, Evidence.CONFIG),
    decide=_decide_wrong_trainables,
    cannot_show="Which weights, nor whether those would be enough.",
    experiment="Print the trained parameters by name; or train ten steps and compare hashes.",
    advise=_advise_wrong_trainables,
)
