"""What a comparison can see, and when that is too little to be called a test.

A comparison sees the loss that it turns red in at least 98 of 100 candidates. Where that loss is larger than what the
metric has left to lose, a PASS would mean nothing: such a metric is blind at this number of images. What it has left
is half of the way to the metric's worst value; where there is no worst value, half of the value itself, and not more
than the way from the Real row to the value.
"""

from __future__ import annotations

import math

from pytest_medgan.catalogue import Metric

PRACTICAL = 1_000_000  # images per sample group; nobody draws more to judge a model
ROUNDED = 10_000  # images; larger counts are rounded up to two digits: the estimate is no more precise
ROUND = 8  # images; counts that are recommended are multiples of it


def room_for_loss(metric: Metric, value: float, real: float | None = None) -> float:
    """Return the largest loss that a comparison may be unable to see.

    Args:
        metric: The metric, whose range and direction count.
        value: The baseline's value.
        real: The Real row's value at the same count; None where it is not known.

    Returns:
        The loss in metric units, not negative; infinite where nothing is known of the metric's scale.

    Examples:
        >>> from pytest_medgan.catalogue import METRICS
        >>> room_for_loss(METRICS["improved_precision"], 0.6)
        0.3
        >>> room_for_loss(METRICS["fid"], 20.0, real=5.0)
        10.0
        >>> room_for_loss(METRICS["kid"], 0.004, real=0.001)
        0.003
    """
    worst = metric.low if metric.higher_is_better else metric.high
    if math.isfinite(worst):
        return abs(value - worst) / 2
    rooms = [abs(value) / 2] if math.isfinite(metric.low if not metric.higher_is_better else metric.high) else []
    if real is not None:
        way = real - value if metric.higher_is_better else value - real
        rooms += [way] if way > 0 else []
    return min(rooms, default=abs(value) / 2 if value else math.inf)


def images_needed(n: int, sees: float, room: float, between_runs: float = 0.0) -> int | None:
    """Return the images per sample group at which a comparison would see a loss of `room`.

    Args:
        n: Images per sample group now.
        sees: The loss it sees now.
        room: The loss that it should see.
        between_runs: The part of `sees` that is due to the spread of training runs, which more images do not reduce.

    Returns:
        The count, rounded up; None where no number of images is enough.
    """
    of_sampling = sees * sees - between_runs * between_runs
    left = room * room - between_runs * between_runs
    if not left > 0 or not math.isfinite(of_sampling):
        return None
    return ROUND * math.ceil(n * of_sampling / left / ROUND)


def describe_need(images: int) -> str:
    """Say in words how many images per sample group would be enough, large counts in round numbers.

    Examples:
        >>> describe_need(1288), describe_need(98568)
        ('about 1,288 images a sample group would be enough', 'about 99,000 images a sample group would be enough')
        >>> describe_need(632098152)
        'no practical number of images would be enough'
    """
    if images > PRACTICAL:
        return "no practical number of images would be enough"
    step = max(1, 10 ** (len(str(images)) - 2)) if images >= ROUNDED else 1
    return f"about {step * math.ceil(images / step):,} images a sample group would be enough"


def describe_power(metric: Metric, value: float, sees: float) -> str:
    """Say in words which loss a comparison sees: in percent of the value where that has a natural zero.

    Examples:
        >>> from pytest_medgan.catalogue import METRICS
        >>> describe_power(METRICS["fid"], 20.0, 2.4)
        'sees a loss of 12% (98 of 100)'
        >>> describe_power(METRICS["copy_rate"], 0.0, 0.0031)
        'sees a loss of 0.0031 (98 of 100)'
    """
    natural_zero = (metric.low == 0.0) and (metric.higher_is_better or not math.isfinite(metric.high))
    if natural_zero and value > 0 and math.isfinite(sees):
        percent = 100 * sees / value
        return (
            f"sees a loss of {percent:.2g}% (98 of 100)"
            if percent < 10
            else f"sees a loss of {percent:.0f}% (98 of 100)"
        )
    return f"sees a loss of {sees:.2g} (98 of 100)" if math.isfinite(sees) else "sees no loss: its error is not known"
