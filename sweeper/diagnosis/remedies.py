"""Advice that several rules give, and the arithmetic in its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, RunConfig
from sweeper.diagnosis.cause import Advice
from sweeper.diagnosis.readings import whole_number
from sweeper.study import Hyperparameters

# GPT-2 small, where the width is not known.
_USUAL_WIDTH = 768


def proposed(*advice: Advice | None) -> tuple[Advice, ...]:
    """The advice that there is: a change that no study could try is left out."""
    return tuple(a for a in advice if a is not None and _is_valid(a.change))


def _is_valid(change: Mapping[str, object]) -> bool:
    try:
        Hyperparameters.model_validate(dict(change))
    except ValidationError:
        return False
    return True


def rounded(value: float) -> float:
    """Three digits: 0.3 x 2e-5 is 6e-6, not 5.999e-6."""
    return float(f"{value:.3g}")


def raised_rate(case: Case, factor: float, reason: str, urgency: int = 2) -> Advice | None:
    """A higher rate that stays; None where the rate is not known."""
    rate = case.config.number("learning_rate")
    if rate is None:
        return None
    higher = rounded(rate * factor)
    return Advice(
        id="raise-rate",
        title=f"Train at a constant rate of {phrases.rate(higher)}, {factor:g} times the present",
        reason=reason,
        refuted_by=(
            "The validation loss at equal tokens is no lower than the baseline's by more than the "
            "spread between seeds, or the run spikes."
        ),
        change={"learning_rate": higher, "schedule": "constant"},
        urgency=urgency,
        expect="val_loss < baseline",
    )


def lowered_rate(case: Case, reason: str, urgency: int = 4) -> Advice | None:
    """A third of the rate; None where it is not known."""
    rate = case.config.number("learning_rate")
    if rate is None:
        return None
    lower = rounded(0.3 * rate)
    return Advice(
        id="lower-rate",
        title=f"Repeat the run at {phrases.rate(lower)}, 0.3 times the present rate",
        reason=reason,
        refuted_by="The twin at 0.3 times the rate spikes at the same tokens.",
        change={"learning_rate": lower},
        urgency=urgency,
        expect="val_loss < baseline",
    )


def bigger_batch(case: Case, urgency: int = 4) -> Advice | None:
    """Four times the effective batch by accumulation; None where the batch is not known."""
    batch = whole_number(case.config, "batch_size")
    if batch is None:
        return None
    before = whole_number(case.config, "accumulation") or 1
    effective = batch * before
    return Advice(
        id="bigger-batch",
        title=f"Accumulate {4 * before} micro-batches, {4 * effective} blocks a step",
        reason=(
            f"Four times {effective} blocks a step halve the standard deviation of the gradient's "
            "noise (it falls with the root of the batch), at four times the tokens a step."
        ),
        refuted_by=(
            "At equal tokens the curve is as rough, or the validation loss no lower, than before."
        ),
        change={"accumulation": 4 * before},
        urgency=urgency,
        expect="val_loss < baseline",
    )


def smaller_block(case: Case, urgency: int = 3) -> Advice | None:
    """Half the block; None where it is not known or cannot be halved."""
    block = whole_number(case.config, "block_size")
    if block is None or block < 4:
        return None
    half = block // 2
    return Advice(
        id="smaller-block",
        title=f"Halve the block to {half} tokens, to test whether memory slows the steps",
        reason=block_arithmetic(case.config, block, half),
        refuted_by=(
            "Tokens per second are no higher: then memory was not the limit, and the shorter "
            "steps only read fewer tokens."
        ),
        change={"block_size": half},
        urgency=urgency,
        expect="speed > baseline",
    )


def block_arithmetic(config: RunConfig, block: int, half: int) -> str:
    """What a smaller block saves."""
    width = whole_number(config, "hidden_size") or _USUAL_WIDTH
    share = scores_share(block, width)
    tokens = config.tokens_per_step
    per_step = f" ({tokens:,} to {tokens * half // block:,})" if tokens else ""
    return (
        f"A block of {half} instead of {block} mostly cuts the tokens of a step in proportion"
        f"{per_step}. The score matrices, which alone shrink with the square, are "
        f"{100 * share:.0f} % of a layer's arithmetic at width {width}. So tokens per second "
        "rise much only if memory was the limit."
    )


def scores_share(block: int, width: int) -> float:
    """The share of a GPT-2 layer's multiplications that attention's scores and mixing take.

    Per token: 24 width^2 in the linear maps, 4 block x width in scores and mixing, no causal
    skipping (Kaplan et al. 2020, arXiv:2001.08361, table 1, doubled for both products).
    """
    scores, linear = 4 * block * width, 24 * width * width
    return scores / (scores + linear)


def clipped(norm: float = 1.0) -> Advice:
    """Clipping."""
    return Advice(
        id="clip-gradients",
        title=f"Clip the global gradient norm at {norm:g}",
        reason="Nothing bounds the step that one extreme gradient takes, clipping does.",
        refuted_by="The loss spikes just as high with clipping on.",
        change={"clip_norm": norm},
        urgency=2,
        expect="val_loss < baseline",
    )


def logged_gradients() -> Advice:
    """Log what tells causes apart."""
    return Advice(
        id="log-gradient-norms",
        title="Log the gradient norm before clipping, the rate and the loss at every step",
        reason=(
            "A loss alone cannot tell an exploding gradient from damaged weights or a faulty "
            "evaluation; a norm that jumps some steps before the loss does, or does not, tells."
        ),
        refuted_by="A spike comes with an ordinary norm before it: then it was not the gradient.",
        urgency=3,
    )


def evaluated_twice(step: int) -> Advice:
    """Repeat an evaluation."""
    return Advice(
        id="evaluate-twice",
        title=f"Evaluate the checkpoint of step {step:,} twice, with the adapter on and off",
        reason=(
            "The same weights give the same loss: if a second evaluation differs, the evaluation "
            "was at fault, and if it does not, the weights are."
        ),
        refuted_by="The high loss comes back in every evaluation of that checkpoint.",
        urgency=2,
    )


def checked_base(reason: str) -> Advice:
    """Look at the base before anything else."""
    return Advice(
        id="check-base",
        title="Check that the base is pretrained and that its tokenizer belongs to it",
        reason=reason,
        refuted_by=(
            "The untouched base, with the tokenizer that the run used, reaches 3 to 4 nats per "
            "token on plain English."
        ),
        urgency=1,
    )


def trained_embeddings(case: Case, reason: str) -> Advice | None:
    """Train embeddings and norms beside the adapter; None where that is done already."""
    if "embeddings" in _names(case.config.get("train_also")):
        return None
    return Advice(
        id="train-embeddings",
        title="Train the embeddings and norms beside the adapter",
        reason=reason,
        refuted_by="The validation loss at equal tokens stays where the adapter alone left it.",
        change={"train_also": "embeddings+norms"},
        urgency=3,
        expect="val_loss < baseline",
    )


def _names(value: object) -> Iterable[str]:
    if isinstance(value, str):
        return value.split("+")
    return [str(name) for name in value] if isinstance(value, (list, tuple)) else []
