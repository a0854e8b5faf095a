"""The written form of a model: which terms, which parameters are fixed, bounded, linked or per detector.

A model file is TOML::

    name = "five plus CBO"
    per_detector = ["N0", "A", "phi"]         # the rest is shared; default "all"

    [[terms]]
    term = "decay"

    [[terms]]
    term = "precession"
    frequency = "R"                           # or "MHz", or "tesla" with gamma_mhz_per_tesla

    [[terms]]
    term = "cbo"
    modulates = ["N1", "N2", "A1", "phi1"]
    drift = { form = "tracker", table = "K:60h" }

    [parameters.tau]
    value = 64.44
    fixed = true

    [[links]]
    parameter = "tau_vw"
    to = "tau_y"
    factor = 0.5

See ``docs/physics/precession.md`` for the formula of every term.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from gminus2.config import StrictModel

__all__ = [
    "BackgroundTerm",
    "CboTerm",
    "DecayTerm",
    "DriftConfig",
    "LinkConfig",
    "LostMuonTerm",
    "ModelConfig",
    "ParameterConfig",
    "PrecessionTerm",
    "TermConfig",
    "VerticalBetatronTerm",
    "VerticalWaistTerm",
]

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9]*$")]


class DecayTerm(StrictModel):
    """N0 · exp(-t/tau): the normalisation and the muon lifetime (parameters ``N0``, ``tau`` [µs])."""

    term: Literal["decay"] = "decay"
    density: Literal["bin", "ns", "us"] = "bin"
    """What N0 (and the background) counts: per bin, per ns or per µs."""


class PrecessionTerm(StrictModel):
    """A · G(t) · cos(ω t + φ) inside the braces (``A``, ``R`` | ``f`` | ``B``, ``phi`` and the relaxation rate)."""

    term: Literal["precession"] = "precession"
    label: Label = ""
    """Suffix of the parameter names; needed when there are several precession terms."""
    frequency: Literal["R", "MHz", "tesla"] = "R"
    """``R``: ppm relative to ω_ref; ``MHz``: parameter ``f``; ``tesla``: parameter ``B`` for the γ given."""
    gamma_mhz_per_tesla: PositiveFloat | None = None
    """γ/2π [MHz/T]; needed for ``tesla`` (muon spin: 135.5388)."""
    relaxation: Literal["none", "exponential", "gaussian", "stretched"] = "none"
    """G(t): 1, exp(-λt), exp(-σ²t²/2), exp(-(λt)^β); parameters ``lambda``, ``sigma`` [1/µs], ``beta``."""

    @model_validator(mode="after")
    def _gamma(self) -> PrecessionTerm:
        if self.frequency == "tesla" and self.gamma_mhz_per_tesla is None:
            raise ValueError("frequency 'tesla' needs gamma_mhz_per_tesla")
        return self


class DriftConfig(StrictModel):
    """How the CBO phase departs from ω t."""

    form: Literal["tracker", "original", "single"]
    """tracker: ωt + A e^(-t/τA) + B e^(-t/τB); original: ωt(1 + dw·t + a e^(-t/τa) + b e^(-t/τb));
    single: ωt + A e^(-t/τA)."""
    table: str | None = None
    """Named start values, e.g. ``K:60h`` or ``KT:EndGame`` (:data:`gminus2.precession.DRIFT_TABLES`)."""
    free: bool = False
    """Fit the drift parameters; else they stay at the table or at what [parameters] says."""


class CboTerm(StrictModel):
    """Coherent betatron oscillation in the counts (N1, N2), the asymmetry (A1) and the phase (phi1)."""

    term: Literal["cbo"] = "cbo"
    label: Annotated[str, Field(pattern=r"^[A-Za-z0-9]+$")] = "cbo"
    """Name of the oscillation in the parameter names."""
    modulates: tuple[Literal["N1", "N2", "A1", "phi1"], ...] = ("N1",)
    """Which factors oscillate; ``N2`` at twice the frequency with envelope exp(-2t/tau)."""
    phase_form: Literal["additive", "multiplicative"] = "additive"
    """phi1: φ + a cos(…) [rad], or φ·(1 + a cos(…))."""
    drift: DriftConfig | None = None
    """Frequency drift; none means constant frequency."""


class VerticalWaistTerm(StrictModel):
    """Vertical waist in the counts (``A_vw``, ``tau_vw``, ``f_vw`` or ``kappa_vw``, ``phi_vw``)."""

    term: Literal["vertical_waist"] = "vertical_waist"
    label: Annotated[str, Field(pattern=r"^[A-Za-z0-9]+$")] = "vw"
    frequency: Literal["free", "field_index"] = "free"
    """``field_index``: ω_VW = ω_c - 2√(2ω_cω' - ω'²) with ω' = (1 + kappa)·ω_CBO(t)."""
    factor_of: Literal["own", "vertical_betatron"] = "vertical_betatron"
    """Whether it stands in the factor N_y of the vertical betatron oscillation or in a factor of its own."""


class VerticalBetatronTerm(StrictModel):
    """Vertical betatron oscillation in the counts (``A_y``, ``tau_y``, ``f_y`` or ``kappa_y``, ``phi_y``)."""

    term: Literal["vertical_betatron"] = "vertical_betatron"
    label: Annotated[str, Field(pattern=r"^[A-Za-z0-9]+$")] = "y"
    frequency: Literal["free", "field_index"] = "free"
    """``field_index``: ω_y = √(2ω_cω' - ω'²) with ω' = (1 + kappa)·ω_CBO(t)."""


class LostMuonTerm(StrictModel):
    """Λ(t) = 1 - kappa_loss · J(t), J the loss integral normalised to 1 at its end; needs a loss spectrum."""

    term: Literal["lost_muons"] = "lost_muons"
    lifetime_us: PositiveFloat = 64.44
    """Lifetime of the weight [µs]; a constant of the spectrum, not the fitted tau."""


class BackgroundTerm(StrictModel):
    """A flat background added to everything else (``background``, in the density of the decay term)."""

    term: Literal["background"] = "background"


TermConfig = Annotated[
    DecayTerm | PrecessionTerm | CboTerm | VerticalWaistTerm | VerticalBetatronTerm | LostMuonTerm | BackgroundTerm,
    Field(discriminator="term"),
]


class ParameterConfig(StrictModel):
    """What is known of a parameter before the fit."""

    value: float | None = None
    """Start value, or the value of a fixed parameter; found automatically where absent."""
    fixed: bool = False
    """Keep it at ``value``."""
    lower: float | None = None
    """Lower bound."""
    upper: float | None = None
    """Upper bound."""


class LinkConfig(StrictModel):
    """``parameter = factor · to + offset``: a parameter that follows another one."""

    parameter: str
    to: str
    factor: float = 1.0
    offset: float = 0.0


class ModelConfig(StrictModel):
    """A composition of registered terms."""

    name: str = "custom"
    """Name of the model in results."""
    terms: tuple[TermConfig, ...] = (DecayTerm(), PrecessionTerm())
    """What the model is made of; exactly one ``decay``."""
    per_detector: tuple[str, ...] | Literal["all"] = "all"
    """Parameters that every detector has for itself; all others are shared. Irrelevant for one detector."""
    parameters: dict[str, ParameterConfig] = Field(default_factory=dict)
    """Start values, fixed values and bounds; a key is ``NAME`` or ``NAME[LABEL]``."""
    links: tuple[LinkConfig, ...] = ()
    """Parameters tied to others."""
