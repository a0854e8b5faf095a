"""The search for a muon EDM: spins from the ring, tracks, the component 90° from the rate, and a limit."""

from gminus2.edm.analysis import (
    Dilution,
    EdmFit,
    calibrate_dilution,
    edm_from_tilt,
    fit_edm,
    fit_rate,
    profile_tracks,
    tilt_from_edm,
)
from gminus2.edm.library import SpinLibrary, spin_library
from gminus2.edm.limits import median_limit, modulus_interval, tracks_for_limit
from gminus2.edm.systematics import CorrectedEdm, Systematics, corrected
from gminus2.edm.tracks import TrackerModel, Tracks, draw_tracks

__all__ = [
    "CorrectedEdm",
    "Dilution",
    "EdmFit",
    "SpinLibrary",
    "Systematics",
    "TrackerModel",
    "Tracks",
    "calibrate_dilution",
    "corrected",
    "draw_tracks",
    "edm_from_tilt",
    "fit_edm",
    "fit_rate",
    "median_limit",
    "modulus_interval",
    "profile_tracks",
    "spin_library",
    "tilt_from_edm",
    "tracks_for_limit",
]
