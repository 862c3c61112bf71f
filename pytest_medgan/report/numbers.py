"""Numbers as a report shows them: natural units, and as many digits as the error justifies."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_medgan.catalogue import Metric

DASH = "–"
MOST_DECIMALS = 6
PERCENT_METRICS = (
    "copy_rate",
    "duplicate_rate",
    "anomaly_rate",
    "memorised_rate",
    "implausible_rate",
)  # shares near zero, shown in percent


@dataclass(frozen=True)
class Scale:
    """How the values of one metric are shown."""

    factor: float  # shown number = value * factor
    unit: str  # "%", "HU" or ""
    decimals: int

    def show(self, value: float | None) -> str:
        """Return a value without its unit; a dash where there is none."""
        if value is None or math.isnan(value):
            return DASH
        if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        text = f"{value * self.factor:,.{self.decimals}f}"
        is_zero = float(text.replace(",", "")) == 0
        return text.lstrip("-") if is_zero else text.replace("-", "−")

    def with_unit(self, value: float | None) -> str:
        """Return a value with its unit."""
        text = self.show(value)
        return text if text == DASH or not self.unit else f"{text}{'' if self.unit == '%' else ' '}{self.unit}"


def scale_of(metric: Metric, errors: Iterable[float | None] = (), window: tuple[float, ...] | None = None) -> Scale:
    """Return how to show the values of a metric.

    Args:
        metric: The metric.
        errors: Standard errors of the values to show. The smallest one above zero decides the digits, by the rule of
            the Particle Data Group: where the first three digits of the error are 100 to 354, two of them are shown,
            otherwise one. Without an error, the metric's own decimals are used.
        window: HU of grey 0 and 255; None where unknown, and intensity distances are then in grey levels.

    Returns:
        The scale, the same for every value of a row of a table.
    """
    factor, unit = (100.0, "%") if metric.name in PERCENT_METRICS else (1.0, "")
    if metric.name == "intensity_distance":
        unit = "HU" if window else "grey levels"
    known = [error * factor for error in errors if error is not None and math.isfinite(error) and error > 0]
    by_metric = max(0, metric.decimals - round(math.log10(factor)))
    return Scale(factor, unit, _decimals(min(known)) if known else by_metric)


def _decimals(error: float) -> int:
    """Return the decimals that show two digits of an error of 1.00 to 3.54, one digit of 3.55 to 9.99."""
    exponent = math.floor(math.log10(error))
    return min(MOST_DECIMALS, max(0, -exponent + (1 if error / 10**exponent < 3.55 else 0)))


def percent_change(before: float, now: float, error: float) -> str:
    """Return a relative change such as "+12%".

    Args:
        before: The earlier value.
        now: The present value.
        error: Standard error of the earlier value.

    Returns:
        A signed whole percentage, or "×N" for a tenfold change and more. Empty where it rounds to zero, and where the
        value before is not clearly different from zero.
    """
    if not math.isfinite(now) or before == 0 or abs(before) < 3 * error:
        return ""
    ratio = now / before
    if ratio >= 10:
        return f"×{ratio:,.0f}"
    percent = round(100 * (ratio - 1))
    return f"{percent:+d}%".replace("-", "−") if percent else ""


def errors_text(errors: float) -> str:
    """Return a number of standard errors without its sign: one decimal below ten, whole above."""
    size = abs(errors)
    return f"{size:.1f}" if size < 9.95 else f"{size:,.0f}"


def percent_share(part: int, whole: int) -> str:
    """Return a share in percent: one decimal below ten percent, whole above."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.1f}%" if share < 9.95 else f"{share:.0f}%"
