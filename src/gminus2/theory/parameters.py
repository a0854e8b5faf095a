"""Masses and couplings of the theory room, read from ``gminus2.reference``.

The theory room works in **GeV** (names end in ``_gev`` where it is not obvious), with s in GeV². Anomalies are pure
numbers; those printed in 10⁻¹¹ or 10⁻¹⁰ say so in their name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from gminus2.constants import codata, published

__all__ = ["Parameters", "parameters"]


@dataclass(frozen=True)
class Parameters:
    """Inputs of loop integrals: masses [GeV], G_F [GeV⁻²], ħc [GeV fm], (ħc)² [nb GeV²], α(0) and α_s(M_Z)."""

    alpha: float
    m_mu: float
    m_e: float
    m_tau: float
    m_pi: float
    m_pi0: float
    m_c: float
    m_b: float
    m_t: float
    M_W: float
    M_Z: float
    M_H: float
    G_F: float
    alpha_s_MZ: float
    hbar_c: float
    hbar_c_squared: float

    @property
    def vev(self) -> float:
        """Higgs vacuum expectation value (√2 G_F)^(−1/2) [GeV]."""
        return float((2.0**0.5 * self.G_F) ** -0.5)

    @property
    def sigma_to_r(self) -> float:
        """R = σ [nb] · s [GeV²] · this factor; σ(μ⁺μ⁻) = 4πα²/3s."""
        return float(3.0 / (4.0 * 3.141592653589793 * self.alpha**2 * self.hbar_c_squared))


@cache
def parameters() -> Parameters:
    """Return the default set (PDG masses, CODATA 2018 α)."""
    names = [name for name in Parameters.__dataclass_fields__ if name != "alpha"]
    values = {name: float(published(f"theory.parameters.{name}")) for name in names}
    return Parameters(alpha=1.0 / float(codata(2018).alpha_inverse), **values)
