"""How long a pause of a scenario lasts."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

Parameters = Mapping[str, float]

_DRAWS: dict[str, Callable[[Parameters, random.Random], float]] = {
    "fixed": lambda p, r: p["value"],
    "uniform": lambda p, r: r.uniform(p["min"], p["max"]),
    "normal": lambda p, r: r.gauss(p["mean"], p["stdev"]),
    "lognormal": lambda p, r: r.lognormvariate(p["mean"], p["stdev"]),
    "exponential": lambda p, r: r.expovariate(1 / p["mean"]) if p["mean"] else 0.0,
    "weibull": lambda p, r: r.weibullvariate(p["lambda"], p["k"]),
    "pareto": lambda p, r: p["x_m"] * r.paretovariate(p["k"]),
    "gamma": lambda p, r: r.gammavariate(p["k"], p["theta"]),
    "negbin": lambda p, r: _negative_binomial(p["p"], p["n"], r),
}


def draw(distribution: str, parameters: Parameters, choice: random.Random) -> float:
    """One value of a distribution, never negative."""
    return max(0.0, _DRAWS[distribution](parameters, choice))


def _negative_binomial(p: float, n: float, choice: random.Random) -> float:
    """Failures before the nth success."""
    failures, successes = 0, 0
    while successes < n and failures < 1_000_000:
        if choice.random() < p:
            successes += 1
        else:
            failures += 1
    return failures / 1000


def pause(distribution: str, parameters: Parameters, default: float, choice: random.Random) -> float:
    """The seconds of a `<pause>`: what it says, else what the caller set (SIPp's -d)."""
    if distribution:
        scale = 0.001 if distribution == "lognormal" else 1.0
        return draw(distribution, parameters, choice) * scale
    return parameters.get("milliseconds", default)
