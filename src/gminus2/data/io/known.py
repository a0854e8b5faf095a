"""Published data sets that must be recognised wherever they appear, because a result from them needs a warning.

A data set is recognised by its DOI, or by its numbers: a few bins spread over the histogram that must all agree. Bins
are compared on the first six digits, so that the original, a rounded copy, a cut of it and a file written again by this
package are all recognised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gminus2.data.histograms import TimeHistogram

__all__ = ["KNOWN", "KnownData", "identify"]


@dataclass(frozen=True)
class KnownData:
    """A published histogram and what its user must know.

    Attributes
    ----------
    width_us
        Bin width [µs]; bin k is [k, k+1)·width.
    fingerprint
        Bin index k → counts, to six digits.
    caveats
        Shown with every result from these data.
    no_a_mu
        Why no a_μ may be computed from them.
    """

    name: str
    doi: str
    citation: str
    width_us: float
    fingerprint: Mapping[int, float]
    caveats: tuple[str, ...]
    no_a_mu: str


E989_RUN3B = KnownData(
    name="E989 Run-3b positrons",
    doi="10.5281/zenodo.19632588",
    citation="Muon g-2 Collaboration (Fermilab), Run-3B data set, doi:10.5281/zenodo.19632588, CC BY 4.0",
    width_us=0.1492,
    fingerprint={
        172: 3981480,
        201: 3811180,
        250: 4288900,
        333: 2645160,
        500: 1173680,
        777: 1280130,
        1000: 365603,
        1400: 246240,
        1900: 62622,
        2500: 20175,
        3000: 7255,
        3600: 904,
        4200: 452,
        4350: 347,
    },
    caveats=(
        "E989 Run-3b public histogram: its time axis carries a frequency offset that has not been published. "
        "The fitted R is not the experiment's ω_a, and no a_μ follows from this file.",
        "Run-3b: whether the times are randomised, pileup is subtracted and the gain is corrected is not stated with "
        "the data. Between 1e5 and 1e6 counts 73 % of the bins are even (half-integer pileup weights, inferred), so "
        "the variance is not exactly Poisson.",
    ),
    no_a_mu=(
        "the public Run-3b histogram carries an offset of its time axis (clock-like, of tens of ppm) that has not been "
        "published; its ω_a is good for every study of the fit, but a_μ computed from it would be wrong"
    ),
)

KNOWN: tuple[KnownData, ...] = (E989_RUN3B,)


def identify(histogram: TimeHistogram, text: str = "") -> KnownData | None:
    """Return the published data set a histogram comes from, or ``None``.

    Parameters
    ----------
    text
        Header and metadata of the file, searched for a DOI.
    """
    for known in KNOWN:
        if known.doi in text or any(_matches(histogram, i, known) for i in range(histogram.n_detectors)):
            return known
    return None


def _matches(histogram: TimeHistogram, detector: int, known: KnownData) -> bool:
    """Return whether at least three bins of the fingerprint are there and all of them agree."""
    if abs(histogram.width_us / known.width_us - 1.0) > 1e-4:
        return False
    first = histogram.start_us[detector] / known.width_us
    if abs(first - round(first)) > 0.02:
        return False
    found = 0
    for k, counts in known.fingerprint.items():
        index = k - round(float(first))
        if not 0 <= index < histogram.n_bins:
            continue
        # Six printed digits: the last one may be off by one.
        if abs(histogram.counts[detector, index] - counts) > 1.01 * 10.0 ** (np.floor(np.log10(counts)) - 5):
            return False
        found += 1
    return found >= 3
