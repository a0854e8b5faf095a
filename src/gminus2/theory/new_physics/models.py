"""The catalogue of models of ``gminus2 new-physics``: parameters with units, Δa, plane of the region plot."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gminus2.errors import PhysicsError, nearest
from gminus2.theory.new_physics.axion import alp
from gminus2.theory.new_physics.leptoquarks import leptoquark_r2, leptoquark_s1
from gminus2.theory.new_physics.loops import charged_scalar, charged_vector, neutral_scalar, neutral_vector
from gminus2.theory.new_physics.mssm import MSSM
from gminus2.theory.new_physics.reach import scale_relation
from gminus2.theory.new_physics.two_higgs_doublets import YUKAWA_TYPES, TwoHiggsDoublets
from gminus2.theory.parameters import parameters

__all__ = ["MODELS", "Axis", "Model", "ModelParameter", "model", "scan_plane"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ModelParameter:
    """A parameter: default, unit, meaning."""

    default: float
    unit: str
    text: str


@dataclass(frozen=True)
class Axis:
    """An axis of the region plot: parameter, range, label; logarithmic unless ``log`` is false."""

    name: str
    low: float
    high: float
    label: str
    log: bool = True

    def grid(self, count: int) -> Array:
        """Return ``count`` values."""
        return np.geomspace(self.low, self.high, count) if self.log else np.linspace(self.low, self.high, count)


@dataclass(frozen=True)
class Model:
    """A model of new physics.

    Attributes
    ----------
    evaluate
        Δa_μ of a full set of parameters.
    x, y
        The default plane of the region plot.
    caveat
        What the user must know; empty where nothing.
    """

    name: str
    label: str
    parameters: Mapping[str, ModelParameter]
    evaluate: Callable[[Mapping[str, float]], float]
    x: Axis
    y: Axis
    caveat: str = ""

    def complete(self, given: Mapping[str, float]) -> dict[str, float]:
        """Return the given parameters with defaults filled in.

        Raises
        ------
        PhysicsError
            An unknown parameter, or one that is not finite.
        """
        for name, value in given.items():
            if name not in self.parameters:
                raise PhysicsError(
                    f"model '{self.name}' has no parameter '{name}'", hint=nearest(name, self.parameters)
                )
            if not math.isfinite(value):
                raise PhysicsError(f"parameter '{name}' is not finite", found=str(value))
        return {name: given.get(name, spec.default) for name, spec in self.parameters.items()}

    def delta_a(self, **given: float) -> float:
        """Return Δa_μ; parameters that are not given have their defaults."""
        return self.evaluate(self.complete(given))


def _mass(default: float, text: str = "mass of the new boson") -> ModelParameter:
    return ModelParameter(default, "GeV", text)


def _coupling(default: float, text: str) -> ModelParameter:
    return ModelParameter(default, "1", text)


_MASS_AXIS: Final = Axis("mass", 1e-3, 1e3, "mass [GeV]")


def _light(name: str, label: str, coupling: str, text: str, evaluate: Callable[[Mapping[str, float]], float]) -> Model:
    axis = Axis(coupling, 1e-5, 1.0, text)
    return Model(name, label, {"mass": _mass(1.0), coupling: _coupling(1e-3, text)}, evaluate, _MASS_AXIS, axis)


def _yukawa_type(code: float) -> str:
    kinds = list(YUKAWA_TYPES)
    index = round(code) - 1
    if not 0 <= index < len(kinds):
        raise PhysicsError("no such Yukawa type", expected="1 (I), 2 (II), 3 (X) or 4 (Y)", found=str(code))
    return kinds[index]


def _two_higgs(p: Mapping[str, float]) -> float:
    kind = _yukawa_type(p["type"])
    return TwoHiggsDoublets(p["m_H"], p["m_A"], p["m_charged"], p["tan_beta"], kind).delta_a()


def _mssm(p: Mapping[str, float]) -> float:
    return MSSM(p["tan_beta"], p["mu"], p["m1"], p["m2"], p["m_slepton"], p["m_slepton"]).delta_a()


def _catalogue() -> tuple[Model, ...]:
    e = math.sqrt(4.0 * math.pi * parameters().alpha)
    heavy = Axis("mass", 100.0, 2e4, "mass [GeV]")
    leptoquark = {
        "mass": _mass(2000.0, "leptoquark mass"),
        "left": _coupling(0.1, "coupling to the left-handed muon"),
        "right": _coupling(0.1, "coupling to the right-handed muon"),
        "m_quark": ModelParameter(parameters().m_t, "GeV", "mass of the up-type quark in the loop"),
    }
    lq_axis = Axis("left", 1e-3, 3.0, "left-handed coupling (right-handed fixed)")
    charged = {
        "mass": _mass(300.0),
        "g": _coupling(0.5, "scalar or vector coupling"),
        "g5": _coupling(0.5, "pseudoscalar or axial coupling"),
        "m_neutral": ModelParameter(0.0, "GeV", "mass of the neutral fermion"),
    }
    g_axis = Axis("g", 1e-2, 10.0, "coupling g (g5 fixed)")
    return (
        _light("scalar", "neutral scalar", "g_s", "scalar coupling", lambda p: neutral_scalar(p["mass"], p["g_s"])),
        _light(
            "pseudoscalar",
            "neutral pseudoscalar",
            "g_p",
            "pseudoscalar coupling",
            lambda p: neutral_scalar(p["mass"], 0.0, p["g_p"]),
        ),
        _light("vector", "neutral vector", "g_v", "vector coupling", lambda p: neutral_vector(p["mass"], p["g_v"])),
        _light(
            "axial", "neutral axial vector", "g_a", "axial coupling", lambda p: neutral_vector(p["mass"], 0.0, p["g_a"])
        ),
        Model(
            "z-prime",
            "Z' with vector and axial coupling (default: L_μ − L_τ)",
            {
                "mass": _mass(0.015, "Z' mass"),
                "g_v": _coupling(5e-4, "vector coupling"),
                "g_a": _coupling(0.0, "axial coupling"),
            },
            lambda p: neutral_vector(p["mass"], p["g_v"], p["g_a"]),
            Axis("mass", 1e-3, 1e3, "Z' mass [GeV]"),
            Axis("g_v", 1e-5, 1.0, "vector coupling"),
        ),
        Model(
            "dark-photon",
            "dark photon with kinetic mixing",
            {"mass": _mass(0.1), "epsilon": _coupling(1e-3, "kinetic mixing")},
            lambda p: neutral_vector(p["mass"], p["epsilon"] * e),
            Axis("mass", 1e-3, 10.0, "dark-photon mass [GeV]"),
            Axis("epsilon", 1e-4, 1.0, "kinetic mixing ε"),
            "excluded by direct searches where it would explain 250e-11",
        ),
        Model(
            "charged-scalar",
            "charged scalar with a neutral fermion",
            charged,
            lambda p: charged_scalar(p["mass"], p["g"], p["g5"], fermion=p["m_neutral"]),
            heavy,
            g_axis,
        ),
        Model(
            "charged-vector",
            "charged vector with a neutral fermion",
            charged,
            lambda p: charged_vector(p["mass"], p["g"], p["g5"], fermion=p["m_neutral"]),
            heavy,
            g_axis,
        ),
        Model(
            "leptoquark-s1",
            "scalar leptoquark S₁",
            leptoquark,
            lambda p: leptoquark_s1(p["mass"], p["left"], p["right"], quark=p["m_quark"]),
            Axis("mass", 500.0, 1e5, "leptoquark mass [GeV]"),
            lq_axis,
        ),
        Model(
            "leptoquark-r2",
            "scalar leptoquark R₂",
            leptoquark,
            lambda p: leptoquark_r2(p["mass"], p["left"], p["right"], quark=p["m_quark"]),
            Axis("mass", 500.0, 1e5, "leptoquark mass [GeV]"),
            lq_axis,
        ),
        Model(
            "alp",
            "axion-like particle",
            {
                "mass": _mass(0.5),
                "c_mumu": _coupling(1.0, "coupling to muons"),
                "c_gamma": _coupling(0.0, "coupling to photons"),
                "scale": ModelParameter(1000.0, "GeV", "decay scale Λ"),
            },
            lambda p: alp(p["mass"], p["c_mumu"], p["c_gamma"], scale=p["scale"]),
            Axis("mass", 1e-3, 1e2, "ALP mass [GeV]"),
            Axis("c_mumu", 1e-1, 1e3, "coupling c_μμ"),
            "the photon term depends on the scheme and is not verified against the paper",
        ),
        Model(
            "2hdm",
            "two Higgs doublets, one loop + Barr–Zee",
            {
                "m_H": _mass(300.0, "heavy scalar"),
                "m_A": _mass(50.0, "pseudoscalar"),
                "m_charged": _mass(300.0, "charged boson"),
                "tan_beta": _coupling(40.0, "ratio of vacuum expectation values"),
                "type": _coupling(3.0, "Yukawa type: 1 (I), 2 (II), 3 (X), 4 (Y)"),
            },
            _two_higgs,
            Axis("m_A", 15.0, 500.0, "pseudoscalar mass [GeV]"),
            Axis("tan_beta", 1.0, 150.0, "tan β"),
            "Barr–Zee diagrams with H⁺, Z and W are not included (about 10 %)",
        ),
        Model(
            "mssm",
            "minimal supersymmetry, one loop",
            {
                "tan_beta": _coupling(40.0, "ratio of vacuum expectation values"),
                "mu": ModelParameter(500.0, "GeV", "higgsino mass"),
                "m1": ModelParameter(250.0, "GeV", "bino mass"),
                "m2": ModelParameter(500.0, "GeV", "wino mass"),
                "m_slepton": ModelParameter(300.0, "GeV", "left and right smuon mass"),
            },
            _mssm,
            Axis("m_slepton", 150.0, 3000.0, "slepton mass [GeV]"),
            Axis("tan_beta", 2.0, 80.0, "tan β", log=False),
            "the leading two-loop logarithm lowers the result by 7–9 %",
        ),
        Model(
            "generic",
            "Δa = C (m_μ/M)²",
            {"mass": _mass(1000.0, "scale M"), "c": _coupling(1.0, "coefficient C")},
            lambda p: scale_relation(p["c"], p["mass"]),
            Axis("mass", 10.0, 1e5, "scale M [GeV]"),
            Axis("c", 1e-4, 10.0, "coefficient C"),
        ),
    )


#: Models by name.
MODELS: Final[dict[str, Model]] = {one.name: one for one in _catalogue()}


def model(name: str) -> Model:
    """Return a model by name.

    Raises
    ------
    PhysicsError
        Unknown name; the message gives the nearest.
    """
    if name not in MODELS:
        raise PhysicsError(f"no model '{name}'", hint=nearest(name, MODELS))
    return MODELS[name]


def scan_plane(chosen: Model, given: Mapping[str, float], *, count: int = 60) -> tuple[Array, Array, Array]:
    """Return the grid values of both axes and Δa on the plane, shape (y, x); NaN where the point is impossible."""
    fixed = chosen.complete(given)
    xs, ys = chosen.x.grid(count), chosen.y.grid(count)
    values = np.full((count, count), np.nan)
    for i, y in enumerate(ys):
        for j, x in enumerate(xs):
            try:
                values[i, j] = chosen.evaluate({**fixed, chosen.x.name: float(x), chosen.y.name: float(y)})
            except PhysicsError:
                continue
    return xs, ys, values
