"""From a time histogram to ω_a: model terms, fit engine, residuals, scans, toys, software blinding.

    >>> from gminus2.precession import FitSettings, fit            # doctest: +SKIP
    >>> result = fit(histogram, "cbo", FitSettings(window_us=(30, 650)))  # doctest: +SKIP
    >>> result["R"].value, result["R"].error                       # doctest: +SKIP

``models`` holds what is fitted, ``fitting`` how; ``corrections``, ``methods`` and ``campaign`` make it a measurement.
Formulas, conventions and sources: ``docs/physics/precession.md``.
"""

from gminus2.precession.blinding import Blinding
from gminus2.precession.fitting.correlated import fit_correlated, fit_ratio
from gminus2.precession.fitting.engine import fit
from gminus2.precession.fitting.ratio import RatioSeries, ratio_of_copies, ratio_of_shifts
from gminus2.precession.fitting.residuals import (
    NamedLine,
    PullSummary,
    ResidualSpectrum,
    pull_summary,
    residual_spectrum,
    result_spectra,
)
from gminus2.precession.fitting.result import FitResult, FittedParameter, FittedSpectrum, read_fit
from gminus2.precession.fitting.scans import WindowScan, scan_window
from gminus2.precession.fitting.settings import FitSettings
from gminus2.precession.fitting.toys import ToyStudy, expected_histogram, run_toys
from gminus2.precession.models.config import ModelConfig
from gminus2.precession.models.drifts import DRIFT_TABLES
from gminus2.precession.models.losses import LostMuonSpectrum
from gminus2.precession.models.model import PRESETS, Model, load_model, preset

__all__ = [
    "DRIFT_TABLES",
    "PRESETS",
    "Blinding",
    "FitResult",
    "FitSettings",
    "FittedParameter",
    "FittedSpectrum",
    "LostMuonSpectrum",
    "Model",
    "ModelConfig",
    "NamedLine",
    "PullSummary",
    "RatioSeries",
    "ResidualSpectrum",
    "ToyStudy",
    "WindowScan",
    "expected_histogram",
    "fit",
    "fit_correlated",
    "fit_ratio",
    "load_model",
    "preset",
    "pull_summary",
    "ratio_of_copies",
    "ratio_of_shifts",
    "read_fit",
    "residual_spectrum",
    "result_spectra",
    "run_toys",
    "scan_window",
]
