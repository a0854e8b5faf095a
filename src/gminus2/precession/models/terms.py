"""The registry of model terms: each says which parameters it has and how it enters the model.

Formulas: ``docs/physics/precession.md``, section 2. A new term is a schema in
:mod:`gminus2.precession.models.config` and one function here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from gminus2.errors import ConfigError
from gminus2.precession.models.config import (
    BackgroundTerm,
    CboTerm,
    DecayTerm,
    DriftConfig,
    LostMuonTerm,
    ModelConfig,
    PrecessionTerm,
    VerticalBetatronTerm,
    VerticalWaistTerm,
)
from gminus2.precession.models.drifts import drift_table
from gminus2.precession.models.layout import Layout, Oscillation
from gminus2.precession.models.program import SLOT_ASYMMETRY, SLOT_PHASE_ADDITIVE, SLOT_PHASE_MULTIPLICATIVE, Extra
from gminus2.units import omega_reference, ppm

__all__ = ["TERMS", "build_layout"]

_TWO_PI = 2.0 * math.pi
_PER = {"bin": "1/bin", "ns": "1/ns", "us": "1/us"}
# Lifetimes of oscillations: below, a term is over before any fit begins; above, it is undamped to every fit.
_TAU_RANGE = (1.0, 1.0e4)


def _decay(term: DecayTerm, layout: Layout) -> None:
    layout.density = term.density
    layout.header[0] = layout.natural(layout.parameter("N0", _PER[term.density], lower=0.0), per_bin=True)
    layout.header[1] = layout.natural(layout.parameter("tau", "us", lower=0.0))


def _precession(term: PrecessionTerm, layout: Layout) -> None:
    tail = f"_{term.label}" if term.label else ""
    amplitude = layout.parameter(f"A{tail}", "1")
    if term.frequency == "R":
        name = layout.parameter(f"R{tail}", "ppm")
        omega = layout.natural(name, omega_reference * ppm, omega_reference, blinded=True)
    elif term.frequency == "MHz":
        name = layout.parameter(f"f{tail}", "MHz")
        omega = layout.natural(name, _TWO_PI)
    else:
        assert term.gamma_mhz_per_tesla is not None
        name = layout.parameter(f"B{tail}", "T")
        omega = layout.natural(name, _TWO_PI * term.gamma_mhz_per_tesla)
    phase = layout.parameter(f"phi{tail}", "rad")
    if term.relaxation == "none":
        phasor = layout.oscillator(omega)
    elif term.relaxation == "exponential":
        phasor = layout.oscillator(omega, rate=layout.natural(layout.parameter(f"lambda{tail}", "1/us")))
    elif term.relaxation == "gaussian":
        sigma = layout.natural(layout.parameter(f"sigma{tail}", "1/us", lower=0.0))
        phasor = layout.oscillator(omega, extra=Extra.GAUSSIAN, extra_parameters=(sigma,))
    else:
        rate = layout.natural(layout.parameter(f"lambda{tail}", "1/us", lower=1e-9))
        beta = layout.natural(layout.parameter(f"beta{tail}", "1", 1.0, 0.05, 5.0))
        phasor = layout.oscillator(omega, extra=Extra.STRETCHED, extra_parameters=(rate, beta))
    layout.components.append([phasor, layout.natural(amplitude), layout.natural(phase)])
    layout.oscillations.append(Oscillation(amplitude, phase, name))


def _drift(config: DriftConfig, label: str, omega: int, layout: Layout) -> tuple[int, tuple[int, ...], float]:
    """Declare the drift parameters; return the kind, their θ indices and ω0 of the table (NaN if none)."""
    table = drift_table(config.table) if config.table else None
    if table is not None and table.form != config.form:
        raise ConfigError(
            f"the drift table '{config.table}' is of another form", expected=config.form, found=table.form
        )
    omega0 = math.nan if table is None or table.omega0 is None else table.omega0
    fixed = not config.free

    def declare(part: str, unit: str, start: float | None, lower: float = -math.inf) -> int:
        value = math.nan if start is None else start
        return layout.natural(layout.parameter(f"drift_{part}_{label}", unit, value, lower, fixed=fixed))

    if config.form == "original":
        return (
            Extra.ORIGINAL,
            (
                omega,
                declare("dw", "1/us", 0.0),
                declare("a", "1", None),
                declare("tau_a", "us", None, 0.0),
                declare("b", "1", 0.0),
                declare("tau_b", "us", None, 0.0),
            ),
            omega0,
        )
    first = (
        declare("A", "rad", table.amplitude if table else None),
        declare("tau_A", "us", table.tau_us if table else (24.4 if config.form == "single" else None), 0.0),
    )
    if config.form == "single":
        return Extra.SINGLE, first, omega0
    second = (
        declare("B", "rad", table.amplitude_fast if table else None),
        declare("tau_B", "us", table.tau_fast_us if table else None, 0.0),
    )
    return Extra.TRACKER, first + second, omega0


def _cbo(term: CboTerm, layout: Layout) -> None:
    label = term.label
    first = len(layout.parameters)
    modulations: list[tuple[int, int, str, str]] = []
    factor = layout.factor() if {"N1", "N2"} & set(term.modulates) else -1
    phase_slot = SLOT_PHASE_MULTIPLICATIVE if term.phase_form == "multiplicative" else SLOT_PHASE_ADDITIVE
    form = {
        "N1": (factor, 1, f"A_{label}", f"phi_{label}", "1"),
        "N2": (factor, 2, f"A_2{label}", f"phi_2{label}", "1"),
        "A1": (SLOT_ASYMMETRY, 1, f"A_{label}_A", f"phi_{label}_A", "1"),
        "phi1": (phase_slot, 1, f"A_{label}_phi", f"phi_{label}_phi", "rad" if phase_slot == -2 else "1"),
    }
    if not term.modulates or len(set(term.modulates)) != len(term.modulates):
        raise ConfigError(f"the term '{label}' must modulate something, and each factor once")
    # The order of the names: amplitude, lifetime, frequency, phase of the first modulation, then the others.
    for i, which in enumerate(term.modulates):
        slot, harmonic, amplitude, phase, unit = form[which]
        layout.parameter(amplitude, unit)
        if i == 0:
            tau = layout.parameter(f"tau_{label}", "us", 200.0, *_TAU_RANGE)
            frequency = layout.parameter(f"f_{label}", "MHz", lower=0.0)
        layout.parameter(phase, "rad")
        modulations.append((slot, harmonic, amplitude, phase))
        layout.oscillations.append(Oscillation(amplitude, phase, frequency if i == 0 else "", (0.25, 0.55)))
    omega = layout.natural(frequency, _TWO_PI)
    kind: int = Extra.NONE
    indices: tuple[int, ...] = ()
    omega0 = math.nan
    if term.drift is not None:
        kind, indices, omega0 = _drift(term.drift, label, omega, layout)
    if math.isfinite(omega0):
        spec = layout.parameters[frequency]
        layout.parameters[frequency] = type(spec)(spec.name, spec.unit, omega0 / _TWO_PI, spec.lower)
    phasor = layout.oscillator(omega, layout.natural(tau), extra=kind, extra_parameters=indices)
    for slot, harmonic, amplitude, phase in modulations:
        layout.modulation(slot, phasor, harmonic, amplitude, phase)
    if layout.cbo_oscillator < 0:
        layout.cbo_oscillator = phasor
    assert len(layout.parameters) > first


def _vertical(layout: Layout, label: str, slot: int, field_index: bool, kind: int, tau0: float, kappa0: float) -> None:
    """Add an oscillation of the counts whose frequency is free or follows the CBO through the field index."""
    amplitude = layout.parameter(f"A_{label}", "1")
    tau = layout.natural(layout.parameter(f"tau_{label}", "us", tau0, *_TAU_RANGE))
    frequency = ""
    if field_index:
        if layout.cbo_oscillator < 0:
            raise ConfigError(f"the field-index frequency of '{label}' needs a cbo term before it")
        kappa = layout.natural(layout.parameter(f"kappa_{label}", "1", kappa0))
        cbo = layout.oscillators[layout.cbo_oscillator]
        drift = tuple(i for i in layout.extras[layout.cbo_oscillator] if i >= 0)
        phasor = layout.oscillator(tau=tau, extra=kind, extra_parameters=(kappa, cbo[0], *drift), drift=cbo[2])
    else:
        frequency = layout.parameter(f"f_{label}", "MHz", lower=0.0)
        phasor = layout.oscillator(layout.natural(frequency, _TWO_PI), tau)
    phase = layout.parameter(f"phi_{label}", "rad")
    layout.modulation(slot, phasor, 1, amplitude, phase)
    band = (1.7, 2.6) if kind == Extra.WAIST else (2.0, 2.5)
    layout.oscillations.append(Oscillation(amplitude, phase, frequency, band))


def _vertical_waist(term: VerticalWaistTerm, layout: Layout) -> None:
    if term.factor_of == "own":
        slot = layout.factor()
    else:
        if layout.vertical_factor < 0:
            layout.vertical_factor = layout.factor()
        slot = layout.vertical_factor
    _vertical(layout, term.label, slot, term.frequency == "field_index", Extra.WAIST, 22.0, 0.013)


def _vertical_betatron(term: VerticalBetatronTerm, layout: Layout) -> None:
    if layout.vertical_factor < 0:
        layout.vertical_factor = layout.factor()
    slot = layout.vertical_factor
    _vertical(layout, term.label, slot, term.frequency == "field_index", Extra.BETATRON, 60.0, 0.0)


def _lost_muons(term: LostMuonTerm, layout: Layout) -> None:
    layout.header[3] = layout.natural(layout.parameter("kappa_loss", "1", 0.0))


def _background(term: BackgroundTerm, layout: Layout) -> None:
    layout.header[2] = layout.natural(layout.parameter("background", _PER[layout.density]), per_bin=True)


#: Tag of the term → what it adds.
TERMS: Final[dict[str, Callable[[Any, Layout], None]]] = {
    "decay": _decay,
    "precession": _precession,
    "cbo": _cbo,
    "vertical_waist": _vertical_waist,
    "vertical_betatron": _vertical_betatron,
    "lost_muons": _lost_muons,
    "background": _background,
}


def build_layout(config: ModelConfig) -> Layout:
    """Assemble the terms of a model.

    Raises
    ------
    ConfigError
        Not exactly one decay term, terms that contradict each other.
    """
    layout = Layout()
    kinds: list[str] = [term.term for term in config.terms]
    for single, needed in (("decay", True), ("lost_muons", False), ("background", False)):
        if kinds.count(single) > 1 or (needed and single not in kinds):
            raise ConfigError(
                f"a model needs {'exactly' if needed else 'at most'} one term '{single}'",
                found=str(kinds.count(single)),
            )
    forms = {term.phase_form for term in config.terms if isinstance(term, CboTerm) and "phi1" in term.modulates}
    if len(forms) > 1:
        raise ConfigError("phase modulations must all be additive or all multiplicative", found=" and ".join(forms))
    needs_precession = [
        term.label for term in config.terms if isinstance(term, CboTerm) and {"A1", "phi1"} & set(term.modulates)
    ]
    if needs_precession and "precession" not in kinds:
        raise ConfigError(f"'{needs_precession[0]}' modulates an asymmetry, but the model has no precession term")
    # The decay first (it sets the density), field-index terms after the CBO they follow.
    for term in sorted(config.terms, key=lambda t: 0 if t.term == "decay" else 1):
        TERMS[term.term](term, layout)
    if "multiplicative" in forms:
        components = {layout.naturals[row[2]].parameter for row in layout.components}
        layout.oscillations = [
            o if o.phase not in components else Oscillation(o.amplitude, o.phase, o.frequency, o.band_mhz, False)
            for o in layout.oscillations
        ]
    return layout
