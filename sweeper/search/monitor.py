"""The live pruner: watches a trial's points and ends it when going on is of no use.

The detectors are those of `sweeper.curves`; here are only the decisions. None
falls on a first alarm: real runs come back from steps that look fatal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sweeper.curves import Point, Stop, StopReason
from sweeper.curves.climb import ClimbDetector
from sweeper.curves.non_finite import find_non_finite
from sweeper.curves.plateau import find_plateau
from sweeper.curves.spike import Excursion, SpikeDetector, SpikeSettings
from sweeper.search.peer_rules import PEER_RULES, Passage, Peers
from sweeper.study import Hyperparameters, PruneSpec, warmup_steps
from sweeper.study.schedule import decay_left
from sweeper.training.course import Course

CONFIRMING_POINTS = 3
# A rate that still falls can gain late: this many margins more for a whole decay.
DECAY_MARGINS = 4.0


@dataclass
class Monitor:
    """Watches one trial.

    Attributes:
        hyperparameters: The trial's recipe.
        course: Its steps and rungs.
        prune: The study's rules.
        peers: The other trials.
        protected: Only a loss that is no number and the time limit end it: the baseline and
            the hypotheses are there to be compared at full length.
        limit_s: Seconds of training that it has; None: no limit.
    """

    hyperparameters: Hyperparameters
    course: Course
    prune: PruneSpec
    peers: Peers
    protected: bool
    limit_s: float | None = None
    _points: list[Point] = field(default_factory=list)

    def __post_init__(self) -> None:
        sigmas = self.prune.spike.threshold if self.prune.spike else SpikeSettings().sigmas
        self._train_spikes = SpikeDetector(SpikeSettings(sigmas=sigmas))
        self._val_spikes = SpikeDetector(SpikeSettings(sigmas=sigmas))
        self._climb = ClimbDetector()

    @property
    def spike_start_step(self) -> int | None:
        """See `Watch.spike_start_step`."""
        spikes = [s.open for s in (self._train_spikes, self._val_spikes) if s.open is not None]
        return min((spike.start_step for spike in spikes), default=None)

    def replay(self, point: Point) -> None:
        """See `Watch.replay`."""
        self._points.append(point)
        if point.train_loss is not None:
            self._train_spikes.update(point.step, point.tokens, point.train_loss)
            self._climb.update(point.step, point.tokens, point.train_loss)
        if point.val_loss is not None:
            self._val_spikes.update(point.step, point.tokens, point.val_loss)

    def update(self, point: Point) -> Stop | None:
        """See `Watch.update`."""
        self.replay(point)
        if broken := find_non_finite(point):
            return Stop(StopReason.NON_FINITE, broken.evidence)
        if point.step >= self.course.total_steps:
            return None
        if self.limit_s is not None and (point.seconds or 0.0) > self.limit_s:
            return Stop(StopReason.TIMEOUT, self._time_evidence(point))
        if self.protected:
            return None
        return self._judge_spike(point) or self._judge_rung(point)

    def _time_evidence(self, point: Point) -> str:
        return (
            f"{point.seconds:.0f} s of training by step {point.step} of {self.course.total_steps}, "
            f"more than the {self.limit_s:.0f} s of budget.time_per_trial"
        )

    def _judge_spike(self, point: Point) -> Stop | None:
        rule = self.prune.spike
        if rule is None or self._warming_up(point.step):
            return None
        patience_tokens = rule.patience * self.course.total_tokens
        for detector in (self._train_spikes, self._val_spikes):
            if detector.open and self._is_lasting(detector, detector.open, patience_tokens):
                return Stop(StopReason.SPIKE, self._spike_evidence(detector, point))
        since = self._climb.open_since_tokens
        if since is not None and point.tokens - since >= patience_tokens:
            return Stop(StopReason.SPIKE, self._climb.findings()[-1].evidence)
        return None

    def _is_lasting(
        self, detector: SpikeDetector, spike: Excursion, patience_tokens: float
    ) -> bool:
        """Whether a spike has outlived its patience: half of it where it stands above the start.

        A loss above the untrained one has lost everything that training gained.
        """
        start = detector.starting_loss
        if start is not None and spike.current > start:
            patience_tokens /= 2
        lasted = spike.end_tokens - spike.start_tokens
        return spike.num_points >= CONFIRMING_POINTS and lasted >= patience_tokens

    def _spike_evidence(self, detector: SpikeDetector, point: Point) -> str:
        spike = detector.findings()[-1]
        return f"{spike.evidence}; not recovered by step {point.step}"

    def _judge_rung(self, point: Point) -> Stop | None:
        if point.val_loss is None:
            return None
        if self._warming_up(point.step):
            return self._judge_peers() if self.prune.peers == "lag" else None
        return self._judge_plateau(point.val_loss, point) or self._judge_peers()

    def _judge_plateau(self, val_loss: float, point: Point) -> Stop | None:
        """Flat, and too far from the best for what may still come to matter."""
        rule = self.prune.plateau
        if rule is None:
            return None
        window_tokens = rule.window * self.course.total_tokens
        since_tokens = max(
            point.tokens - window_tokens, self.course.tokens_after(self._warmup_steps)
        )
        if point.tokens - since_tokens < window_tokens:
            return None
        flat = find_plateau(self._points, since_tokens=int(since_tokens))
        if flat is None:
            return None
        best = self.peers.best_val_loss()
        margin = rule.margin * (1 + DECAY_MARGINS * self._decay_left(point.step))
        remaining = (self.course.total_tokens - point.tokens) / window_tokens
        hopeful = val_loss - 2 * flat.severity * remaining
        if best is None or hopeful <= best + margin:
            return None
        return Stop(
            StopReason.PLATEAU,
            f"{flat.evidence}; at twice that pace it would end at {hopeful:.4f}, "
            f"{hopeful - best:.2f} nats above the best trial's {best:.4f}",
        )

    def _judge_peers(self) -> Stop | None:
        passages = self._passages()
        if self.prune.peers == "off" or not passages:
            return None
        return PEER_RULES[self.prune.peers](passages, self.peers)

    def _passages(self) -> list[Passage]:
        """Its rungs so far; none without the base's own loss."""
        start_loss = self._points[0].val_loss
        if start_loss is None:
            return []
        return [
            Passage(
                tokens=point.tokens,
                total_tokens=self.course.total_tokens,
                rung=point.tokens // self.course.rungs.every_tokens,
                val_loss=point.val_loss,
                start_loss=start_loss,
                warmup=self.hyperparameters.warmup if self._warming_up(point.step) else None,
            )
            for point in self._points
            if point.val_loss is not None and self.course.rungs.passed(point.tokens)
        ]

    @property
    def _warmup_steps(self) -> int:
        return warmup_steps(self.hyperparameters.warmup, self.course.total_steps)

    def _warming_up(self, step: int) -> bool:
        return step <= self._warmup_steps

    def _decay_left(self, step: int) -> float:
        return decay_left(step, self.course.total_steps, self.hyperparameters)
