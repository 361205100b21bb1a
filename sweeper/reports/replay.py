"""How samplers and pruners did on recorded curves: table, page and figure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import cycle, product
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from sweeper.reports import canvas, words
from sweeper.reports.escaping import Markdown
from sweeper.reports.files import replace_file
from sweeper.reports.templating import markdown_environment
from sweeper.search.replay.contest import Standing, Terms
from sweeper.search.replay.summary import Estimate

COLUMNS = (
    "sampler",
    "pruning",
    "tokens to 1 %",
    "found",
    "regret at 1/4",
    "regret at 1/2",
    "regret at the end",
    "false prunes",
    "good ones lost",
    "saved",
    "trials",
)
_ON_TERMINALS = ("pruning", "tokens to 1 %", "regret at the end", "false prunes")
_FIGURE = "regret.png"
_OWN_COLOURS = (canvas.BLACK, canvas.SKY, canvas.BLUE, canvas.VERMILLION, canvas.PURPLE)
_STOCK_COLOURS = (canvas.ORANGE, canvas.GREEN, canvas.PURPLE, canvas.GREY)


def contest_table(standings: Sequence[Standing]) -> Table:
    """For the terminal: what matters most, every number with its 95 % interval below it."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in _ON_TERMINALS:
        is_text = heading == "pruning"
        table.add_column(
            heading,
            justify="left" if is_text else "right",
            no_wrap=not is_text,
            min_width=16 if is_text else None,
        )
    for standing in standings:
        cells = dict(zip(COLUMNS, cells_of(standing), strict=True))
        cells["pruning"] = f"{cells['sampler']}: {cells['pruning']}"
        table.add_row(*(Text(cells[name].replace(" (", "\n(")) for name in _ON_TERMINALS))
    return table


def cells_of(standing: Standing) -> list[str]:
    """A row of a page's table, under `COLUMNS`."""
    summary = standing.summary
    quarter, half, end = (summary.regret_at(share) for share in (1 / 4, 1 / 2, 1.0))
    return [
        standing.sampler,
        standing.arm,
        _shown(summary.tokens_to_good, words.count),
        _shown(summary.reached, _percent),
        *(_shown(estimate, words.nats) for estimate in (quarter, half, end)),
        _shown(summary.false_prunes, _percent),
        _shown(summary.lost, _percent),
        _shown(summary.saved, _percent),
        _shown(summary.num_trials, lambda value: f"{value:.0f}"),
    ]


def _shown(estimate: Estimate, say: Callable[[float], str]) -> str:
    if math.isnan(estimate.value):
        return words.ABSENT
    return f"{say(estimate.value)} ({say(estimate.low)} to {say(estimate.high)})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def write_contest(terms: Terms, standings: Sequence[Standing], folder: Path, command: str) -> None:
    """Write `README.md` with table and explanation, and the figure beside it.

    Raises:
        StorageError: A file cannot be written.
    """
    canvas.save(figure_regret, standings, folder / _FIGURE)
    replace_file(folder / "README.md", _page(terms, standings, command))


def _page(terms: Terms, standings: Sequence[Standing], command: str) -> str:
    bank = terms.bank
    name, digest = bank.source
    return (
        markdown_environment()
        .get_template("replay.md.j2")
        .render(
            command=Markdown(words.clean(command)),
            num_runs=f"{len(bank.runs):,}",
            run_tokens=f"{bank.tokens_per_trial:,}",
            source=words.clean(name, 60),
            digest=digest[:12],
            num_recorded_seeds=len(bank.seeds),
            recorded_seeds=", ".join(map(str, bank.seeds)),
            num_seeds=len(terms.seeds),
            study_tokens=f"{terms.tokens:,}",
            workers=terms.workers,
            columns=COLUMNS,
            rows=[cells_of(standing) for standing in standings],
            figure=_FIGURE,
        )
    )


def figure_regret(standings: Sequence[Standing]) -> Figure:
    """Build the figure: mean regret over tokens, a panel for each sampler."""
    samplers = list(dict.fromkeys(standing.sampler for standing in standings))
    figure = canvas.new_figure(1.6 + 4.0 * len(samplers))
    all_axes = figure.subplots(len(samplers), squeeze=False)[:, 0]
    for axes, sampler in zip(all_axes, samplers, strict=True):
        _draw_panel(axes, [s for s in standings if s.sampler == sampler])
        axes.set_title(sampler)
    all_axes[-1].set_xlabel("tokens spent by the study")
    handles = {line.get_label(): line for axes in all_axes for line in axes.get_lines()}
    canvas.legend_below(figure, list(handles.values()), columns=3)
    return figure


def _draw_panel(axes: Axes, standings: Sequence[Standing]) -> None:
    """Our rules as solid lines with their intervals, Optuna's pruners thin and broken."""
    own = [standing for standing in standings if not standing.is_stock]
    stock = [standing for standing in standings if standing.is_stock]
    for standing, colour in zip(own, cycle(_OWN_COLOURS)):
        tokens, estimates = zip(*standing.summary.regrets, strict=True)
        axes.plot(
            tokens, [e.value for e in estimates], color=colour, linewidth=2.4, label=standing.arm
        )
        lows, highs = [e.low for e in estimates], [e.high for e in estimates]
        axes.fill_between(tokens, lows, highs, color=colour, alpha=0.12, linewidth=0)
    styles = product(("--", ":", "-."), _STOCK_COLOURS)
    for standing, (line, colour) in zip(stock, cycle(styles)):
        tokens, estimates = zip(*standing.summary.regrets, strict=True)
        axes.plot(
            tokens,
            [e.value for e in estimates],
            color=colour,
            linewidth=1.4,
            linestyle=line,
            label=standing.arm,
        )
    axes.set_yscale("log")
    canvas.show_plain(axes.yaxis)
    canvas.show_tokens(axes.xaxis)
    axes.set_ylabel("regret (nats)")
