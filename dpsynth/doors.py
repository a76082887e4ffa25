"""The doors of a fit, as a value: whoever asks rows anything asks through these.

A fit takes the two of :mod:`dpsynth.privacy`, and no argument changes that. An audit puts doors of its own
in their place, on tables of its own (:mod:`dpsynth.audit.recording`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dpsynth.privacy.curator import Curator
from dpsynth.privacy.seller import Seller

__all__ = ["Doors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What is called with a sealed table, and answers for a price.

    Attributes:
        seller: As :class:`~dpsynth.privacy.seller.Seller`: to what the schema leaves open.
        curator: As :class:`~dpsynth.privacy.curator.Curator`: to everything else.
    """

    seller: Callable[..., Seller] = Seller
    curator: Callable[..., Curator] = Curator
