"""The extracted a_μ on the nuisance sources of the theory: one mass ratio for both sides of the comparison.

a_μ = R'_μ K, and K is proportional to m_μ/m_e, which QED uses as well. An
:class:`~gminus2.measurement.anomaly.Anomaly` names the relative uncertainty of each external constant; here they
become sources with derivatives, in 1e-11.
"""

from __future__ import annotations

import math

from gminus2.constants import Quantity, codata
from gminus2.measurement.anomaly import Anomaly
from gminus2.theory.budget import Budget, Comparison, Experiment
from gminus2.theory.nuisance import NuisanceVector, Prediction

__all__ = ["anomaly_prediction", "compare_anomaly"]


def anomaly_prediction(measured: Anomaly) -> tuple[Prediction, NuisanceVector]:
    """Return a_μ [1e-11] on its sources.

    ``R_prime`` and each constant other than the mass ratio are relative, with central value 0; ``m_mu_over_m_e`` is
    the ratio itself, of the CODATA year of the conversion, so that it is the source of the QED calculation with the
    same year.
    """
    value = measured.value_1e11
    ratio = codata(measured.factor.codata_year).m_mu_over_m_e
    sources = {
        "R_prime": (0.0, measured.sigma_ratio / measured.value),
        "m_mu_over_m_e": (float(ratio), ratio.sigma),
    }
    gradient = {"R_prime": value, "m_mu_over_m_e": value / float(ratio)}
    for name, ppb in measured.factor.parts_ppb.items():
        if name != "m_mu_over_m_e":
            sources[name] = (0.0, ppb * 1e-9)
            gradient[name] = value
    return Prediction(value, gradient), NuisanceVector.independent(sources)


def compare_anomaly(measured: Anomaly, predicted: Budget, *, label: str = "extracted") -> Comparison:
    """Return extracted a_μ minus a budget, every shared source counted once [1e-11].

    The published total of the budget (where it has one) and its uncertainty are used; the covariance is that of the
    shared sources.
    """
    seen, own = anomaly_prediction(measured)
    prediction, sources = predicted.as_prediction(str(measured.factor.codata_year))
    covariance = float(own.joined(sources).covariance_of([seen, prediction])[0, 1])
    variance = own.sigma_of(seen) ** 2 + predicted.sigma**2 - 2.0 * covariance
    quantity = Quantity(label, seen.value, "1e-11", label, measured.factor.status, uncertainty=own.sigma_of(seen))
    return Comparison(
        Experiment(label, label, 0.0, quantity), predicted, seen.value - predicted.value, math.sqrt(variance)
    )
