"""Random numbers that are the same to the bit on every machine.

torch's and numpy's normal generators go through vector or library versions of log and cos whose last bits differ from
one processor to the next. Here the random bits come from PCG64, whose stream numpy keeps stable, and become normal
numbers by additions, multiplications, divisions and square roots alone, which IEEE 754 rounds the same way everywhere:
the inverse normal distribution of Wichura (1988), algorithm AS 241 (PPND16, relative error about 1e-16), with a
logarithm summed from its series.
"""

from __future__ import annotations

import numpy as np

from pytest_medgan.errors import SettingsError
from pytest_medgan.records import Float32, Float64

BLOCK = 32  # latents come in blocks of so many, each block seeded by (seed, block index)

# Wichura (1988), AS 241: numerators and denominators, highest power first; the denominators' constant term is 1
_CENTRE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)  # fmt: skip
_TAIL = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
     3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
)  # fmt: skip
_FAR_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)  # fmt: skip
_LN2 = 0.6931471805599453


def _polynomial(coefficients: tuple[float, ...], x: Float64) -> Float64:
    """Return a polynomial at x; coefficients from the highest power down."""
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


def _ratio(pair: tuple[tuple[float, ...], tuple[float, ...]], x: Float64) -> Float64:
    """Return the ratio of two polynomials at x."""
    return _polynomial(pair[0], x) / _polynomial(pair[1], x)


def _log(x: Float64) -> Float64:
    """Return the natural logarithm by 2 artanh((m-1)/(m+1)), without the maths library."""
    mantissa, exponent = np.frexp(x)  # 0.5 <= mantissa < 1
    s = (mantissa - 0.75) / (mantissa + 0.75)  # log(mantissa / 0.75), |s| <= 1/5
    series = _polynomial(tuple(1.0 / k for k in range(25, 0, -2)), s * s)
    return 2.0 * s * series + exponent * _LN2 - 0.2876820724517809  # log(0.75)


def _inverse_normal(p: Float64) -> Float64:
    """Return the normal quantile of p in (0, 1)."""
    q = p - 0.5
    central = np.abs(q) <= 0.425
    r = np.where(central, 0.180625 - q * q, 0.1)
    value = q * _ratio(_CENTRE, r)
    tail = np.sqrt(-_log(np.where(central, 0.5, np.minimum(p, 1.0 - p))))
    outer = np.where(tail <= 5.0, _ratio(_TAIL, tail - 1.6), _ratio(_FAR_TAIL, tail - 5.0))
    return np.where(central, value, np.copysign(outer, q))


def _to_uniform(raw: np.typing.NDArray[np.uint64]) -> Float64:
    """Return numbers strictly between 0 and 1 made of 64 random bits each."""
    # 52 bits and a half: representable without rounding, and never 0 or 1
    return ((raw >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


class Stream:
    """Draw the endless sequence of random numbers that some integers name."""

    def __init__(self, *key: int) -> None:
        if any(part < 0 for part in key):
            raise SettingsError(f"seed {min(key)} is negative. Choose 0 or more.")
        self._bits = np.random.PCG64(np.random.SeedSequence(list(key)))

    def uniform(self, *shape: int) -> Float64:
        """Return numbers strictly between 0 and 1, float64 of a shape."""
        return _to_uniform(self._bits.random_raw(int(np.prod(shape)))).reshape(shape)

    def normal(self, *shape: int) -> Float32:
        """Return standard normal numbers, float32 of a shape."""
        return _inverse_normal(self.uniform(*shape)).astype(np.float32)

    def permutation(self, n: int) -> np.typing.NDArray[np.int64]:
        """Return 0..n-1 in random order (numpy does not promise that its own shuffle stays the same)."""
        return np.argsort(self.uniform(n), kind="stable").astype(np.int64)


def uniform_by_step(seed: int, stream: int, steps: range, *shape: int) -> Float64:
    """Return float64 [len(steps), *shape], what `Stream(seed, stream, step).uniform(*shape)` draws for each step."""
    raw = [np.random.PCG64(np.random.SeedSequence([seed, stream, n])).random_raw(int(np.prod(shape))) for n in steps]
    return _to_uniform(np.stack(raw)).reshape(len(steps), *shape)


def normal_by_step(seed: int, stream: int, steps: range, *shape: int) -> Float32:
    """Return float32 [len(steps), *shape], what `Stream(seed, stream, step).normal(*shape)` draws for each step."""
    return _inverse_normal(uniform_by_step(seed, stream, steps, *shape)).astype(np.float32)


def latent_block(seed: int, block: int, dimensions: int, truncation: float | None = None) -> Float32:
    """Return block `block` of the latents that `seed` names, float32 [BLOCK, dimensions].

    With `truncation`, numbers beyond it are drawn again (Brock et al. 2019, section 3.1).
    """
    stream = Stream(seed, block)
    z = stream.normal(BLOCK, dimensions)
    if truncation is not None:
        while (beyond := np.abs(z) > truncation).any():
            z[beyond] = stream.normal(int(beyond.sum()))
    return z


def latents(start: int, stop: int, seed: int, dimensions: int, truncation: float | None = None) -> Float32:
    """Return rows start..stop of the endless sequence of latents that `seed` names.

    The first n rows are the same whatever the count asked for, on every machine.

    Args:
        start: First row, from 0.
        stop: The row after the last.
        seed: Latent seed, 0 or more.
        dimensions: Numbers in a latent.
        truncation: Numbers beyond it are drawn again; None keeps all.

    Returns:
        float32 [stop-start, dimensions].

    Raises:
        SettingsError: The range or the seed is negative, or the truncation is not above 0.01.
    """
    if not 0 <= start <= stop:
        raise SettingsError(f"The range {start} to {stop} holds no images. Choose 0 <= start < stop.")
    if truncation is not None and not truncation > 0.01:
        raise SettingsError(f"truncation {truncation:g} is out of range. Choose a number above 0.01.")
    first, last = start // BLOCK, -(-stop // BLOCK)
    blocks = [latent_block(seed, block, dimensions, truncation) for block in range(first, last)]
    rows = np.concatenate(blocks) if blocks else np.empty((0, dimensions), np.float32)
    return rows[start - first * BLOCK : stop - first * BLOCK]
