"""All faults, in the order of the summary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults import crowd, damage, disk, journals, kills, outages, values
from tests.faults.field import Field
from tests.faults.tally import Tally


@dataclass(frozen=True)
class Fault:
    """One thing that may happen.

    Attributes:
        name: As the summary says it.
        strike: Lets it happen so many times, and holds every study that it happened
            to against the rules.
        strikes: Times in `make faults`.
        quick: Times in `make test`; 0 where it takes too long for it.
    """

    name: str
    strike: Callable[[Field, int], Tally]
    strikes: int
    quick: int = 0


FAULTS = (
    Fault("SIGKILL of a worker", kills.kill_workers, 120, quick=2),
    Fault("SIGKILL of a worker's child", kills.kill_children, 60),
    Fault("SIGKILL of a child's supervisor", kills.kill_supervisors, 10),
    Fault("SIGKILL of sweeper run (loky)", kills.kill_programs, 8),
    Fault("SIGKILL of a pool's worker (loky)", kills.kill_pool_workers, 8),
    Fault("SIGKILL of the fork server (loky)", kills.kill_servers, 8),
    Fault("SIGSTOP past the lease", kills.stop_past_lease, 8),
    Fault("SQLite locked, seconds", disk.hold_database, 30),
    Fault("PostgreSQL restarted", outages.restart_postgres, 12),
    Fault("SIGSTOP of PostgreSQL", outages.stop_postgres, 4),
    Fault("SIGKILL of sweeper storage serve", outages.kill_proxy, 12),
    Fault("SIGSTOP of sweeper storage serve", outages.stop_proxy, 3),
    Fault("disk full", disk.fill_disk, 6),
    Fault("folder read-only", disk.deny_writing, 6),
    Fault("flipped bit in a checkpoint", damage.flip_checkpoint, 12),
    Fault("flipped bit in the adapter", damage.flip_adapter, 40),
    Fault("curve cut in a line", damage.cut_curve, 4),
    Fault("journal cut in a line", journals.cut_journal, 40),
    Fault("NaN, inf, -inf", values.say_nan, 3, quick=1),
    Fault("RLIMIT_AS of a command", values.starve_command, 1, quick=1),
    Fault("RLIMIT_AS of a worker", values.starve_worker, 4),
    Fault("poison trial (loky)", values.poison_loky, 1),
    Fault("poison trial (Dask)", values.poison_dask, 2),
    Fault("poison trial (Ray)", values.poison_ray, 2),
    Fault("workers at once (SQLite)", crowd.crowd_sqlite, 16),
    Fault("workers at once (journal)", crowd.crowd_journal, 16),
    Fault("workers at once (PostgreSQL)", crowd.crowd_postgres, 16),
    Fault("workers at once (proxy)", crowd.crowd_proxy, 16),
)
