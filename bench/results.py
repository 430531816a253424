"""What a benchmark found: two columns of figures from one run, the target, and how they are printed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """One line of the table.

    `ours` and `other` hold one figure for each repetition, in `unit`; `other` is empty where there is nothing to set
    against. `reached` is None where no target belongs to the line.
    """

    row: str
    what: str
    unit: str
    ours: Sequence[float]
    other: Sequence[float] = ()
    against: str = ""
    target: str = ""
    reached: bool | None = None

    @property
    def ratio(self) -> float | None:
        """Ours by the other's, of the medians."""
        if not self.other or not statistics.median(self.other):
            return None
        return statistics.median(self.ours) / statistics.median(self.other)

    def as_json(self) -> dict[str, Any]:
        """Return the line with all its figures, their medians, and the ratio."""
        medians = {
            f"{name}_median": statistics.median(figures) if figures else None
            for name, figures in (("ours", self.ours), ("other", self.other))
        }
        return {**asdict(self), **medians, "ratio": self.ratio}


def median(figures: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(figures)


def percentile(figures: Sequence[float], percent: float) -> float:
    """Return the figure that so many percent of the figures don't exceed."""
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, round(percent / 100 * len(ordered)))]


def interleaved(repeat: int, *sides: Callable[[], float]) -> list[list[float]]:
    """Measure each side in turn, `repeat` times, the first side first and last by turns; give each side's figures."""
    figures: list[list[float]] = [[] for _ in sides]
    for number in range(repeat):
        order = range(len(sides)) if number % 2 == 0 else reversed(range(len(sides)))
        for side in order:
            figures[side].append(sides[side]())
    return figures


def table(results: Sequence[Result]) -> str:
    """Write the results as a table of plain text."""
    head = ("what", "unit", "ours", "spread", "other", "spread", "ratio", "target", "reached")
    lines: list[tuple[str, ...]] = [head]
    row = ""
    for result in results:
        if result.row != row:
            row = result.row
            lines.append((f"[{row}]", *[""] * (len(head) - 1)))
        what = result.what + (f", against {result.against}" if result.against else "")
        lines.append(
            (
                what,
                result.unit,
                *_figures(result.ours),
                *_figures(result.other),
                "" if result.ratio is None else f"{result.ratio:.3g}",
                result.target,
                {True: "yes", False: "NO", None: ""}[result.reached],
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = {0, 1, 7, 8}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _figures(figures: Sequence[float]) -> tuple[str, str]:
    if not figures:
        return "", ""
    return _short(statistics.median(figures)), f"{_short(min(figures))}..{_short(max(figures))}"


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.3g}"
