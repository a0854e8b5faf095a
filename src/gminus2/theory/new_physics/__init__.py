"""New physics in a_μ: one-loop models, Barr–Zee, MSSM, mass reach, and regions allowed by a difference."""

from gminus2.theory.new_physics.axion import alp
from gminus2.theory.new_physics.leptoquarks import leptoquark_r2, leptoquark_s1
from gminus2.theory.new_physics.loops import charged_scalar, charged_vector, neutral_scalar, neutral_vector
from gminus2.theory.new_physics.models import MODELS, Model, model, scan_plane
from gminus2.theory.new_physics.mssm import MSSM
from gminus2.theory.new_physics.reach import DeltaInterval, delta_interval, mass_reach, scale_relation
from gminus2.theory.new_physics.two_higgs_doublets import TwoHiggsDoublets

__all__ = [
    "MODELS",
    "MSSM",
    "DeltaInterval",
    "Model",
    "TwoHiggsDoublets",
    "alp",
    "charged_scalar",
    "charged_vector",
    "delta_interval",
    "leptoquark_r2",
    "leptoquark_s1",
    "mass_reach",
    "model",
    "neutral_scalar",
    "neutral_vector",
    "scale_relation",
    "scan_plane",
]
