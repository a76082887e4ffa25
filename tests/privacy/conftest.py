"""Fixtures of the privacy tests: small sealed tables, and noise that is switched off or explodes."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest

from dpsynth.privacy import noise
from dpsynth.privacy.guarantee import Guarantee


@pytest.fixture
def no_noise(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, object]]:
    """Let every sampler give zeros and every choice the best candidate; return what they were asked for."""
    asked: list[tuple[str, object]] = []

    def zeros(name: str, size: int, sigma: float) -> np.ndarray:
        asked.append((name, (size, sigma)))
        return np.zeros(size, dtype=np.int64)

    def best(scores: list[int], epsilon: float, sensitivity: int) -> int:
        asked.append(("exponential", (tuple(scores), epsilon, sensitivity)))
        return int(np.argmax(scores))

    monkeypatch.setattr(noise, "rounded_gaussian", functools.partial(zeros, "rounded"))
    monkeypatch.setattr(noise, "discrete_gaussian", functools.partial(zeros, "discrete"))
    monkeypatch.setattr(noise, "discrete_laplace", functools.partial(zeros, "laplace"))
    monkeypatch.setattr(noise, "opendp_laplace", functools.partial(zeros, "opendp laplace"))
    monkeypatch.setattr(noise, "exponential_choice", best)
    return asked


@pytest.fixture
def explosive(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that makes any noise raise: after it, whoever draws is caught."""

    def boom(*_: object) -> None:
        raise AssertionError("noise was drawn")

    def arm() -> None:
        for name in noise.__all__:
            monkeypatch.setattr(noise, name, boom)

    return arm


@pytest.fixture
def cheap_budgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remember budgets, so that a thousand curators cost one conversion."""
    monkeypatch.setattr(Guarantee, "budget", functools.cache(Guarantee.budget))
