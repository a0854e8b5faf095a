"""The model written down a second time, in 40-digit arithmetic and straight from the formulas of the talk."""

from __future__ import annotations

from collections.abc import Mapping

import mpmath as mp

mp.mp.dps = 40
OMEGA_REF = 2 * mp.pi * mp.mpf("0.2291")
OMEGA_C = 2 * mp.pi * mp.mpf("6.70495794")


def osc(p: Mapping[str, mp.mpf], amplitude: str, phase: str, tau: mp.mpf, angle: mp.mpf, t: mp.mpf) -> mp.mpf:
    """a e^(-t/τ) cos(angle + φ), 0 where the model has no such amplitude."""
    if amplitude not in p:
        return mp.mpf(0)
    return p[amplitude] * mp.exp(-t / tau) * mp.cos(angle + p[phase])


def drift(p: Mapping[str, mp.mpf], t: mp.mpf) -> mp.mpf:
    """CBO phase Φ(t) of the model at hand."""
    w = 2 * mp.pi * p["f_cbo"]
    if "drift_dw_cbo" in p:
        a = p["drift_a_cbo"] * mp.exp(-t / p["drift_tau_a_cbo"])
        b = p["drift_b_cbo"] * mp.exp(-t / p["drift_tau_b_cbo"])
        return w * t * (1 + p["drift_dw_cbo"] * t + a + b)
    phase = w * t
    if "drift_A_cbo" in p:
        phase += p["drift_A_cbo"] * mp.exp(-t / p["drift_tau_A_cbo"])
    if "drift_B_cbo" in p:
        phase += p["drift_B_cbo"] * mp.exp(-t / p["drift_tau_B_cbo"])
    return phase


def relaxation(p: Mapping[str, mp.mpf], t: mp.mpf) -> mp.mpf:
    """G(t) of the model at hand."""
    if "beta" in p:
        return mp.exp(-((p["lambda"] * t) ** p["beta"]))
    if "lambda" in p:
        return mp.exp(-p["lambda"] * t)
    if "sigma" in p:
        return mp.exp(-((p["sigma"] * t) ** 2) / 2)
    return mp.mpf(1)


def density(p: Mapping[str, mp.mpf], t: mp.mpf, *, multiplicative: bool, loss: float | None, own: bool) -> mp.mpf:
    """N0 N_x N_y Λ e^(-t/τ) {1 + A A_x cos(ωt + φ φ_x)} + background at one time."""
    omega = 2 * mp.pi * p["f"] if "f" in p else OMEGA_REF * (1 + p["R"] * mp.mpf("1e-6"))
    n_x = a_x = mp.mpf(1)
    phase = p["phi"]
    n_y = mp.mpf(1)
    waist = mp.mpf(0)
    if "f_cbo" in p:
        cbo, tau = drift(p, t), p["tau_cbo"]
        n_x += osc(p, "A_cbo", "phi_cbo", tau, cbo, t) + osc(p, "A_2cbo", "phi_2cbo", tau / 2, 2 * cbo, t)
        a_x += osc(p, "A_cbo_A", "phi_cbo_A", tau, cbo, t)
        shift = osc(p, "A_cbo_phi", "phi_cbo_phi", tau, cbo, t)
        phase = p["phi"] * (1 + shift) if multiplicative else p["phi"] + shift
        inner = None
        for kappa in ("kappa_vw", "kappa_y"):
            if kappa in p:
                w = (1 + p[kappa]) * cbo / t
                inner = mp.sqrt(2 * OMEGA_C * w - w * w)
                if kappa == "kappa_vw":
                    waist = osc(p, "A_vw", "phi_vw", p["tau_vw"], (OMEGA_C - 2 * inner) * t, t)
                else:
                    n_y += osc(p, "A_y", "phi_y", p["tau_y"], inner * t, t)
    if "f_vw" in p:
        waist = osc(p, "A_vw", "phi_vw", p["tau_vw"], 2 * mp.pi * p["f_vw"] * t, t)
    if "f_y" in p:
        n_y += osc(p, "A_y", "phi_y", p["tau_y"], 2 * mp.pi * p["f_y"] * t, t)
    n_y = n_y * (1 + waist) if own else n_y + waist
    lam = 1 - p["kappa_loss"] * loss if loss is not None else mp.mpf(1)
    wiggle = 1 + p["A"] * relaxation(p, t) * a_x * mp.cos(omega * t + phase)
    return p["N0"] * n_x * n_y * lam * mp.exp(-t / p["tau"]) * wiggle + p.get("background", mp.mpf(0))


def bin_mean(function: object, low: mp.mpf, width: mp.mpf, nodes: int) -> mp.mpf:
    """Mean over a bin by Gauss-Legendre with nodes from the roots of the Legendre polynomial."""
    total = mp.mpf(0)
    for x, w in legendre(nodes):
        total += w / 2 * function(low + width * (1 + x) / 2)  # type: ignore[operator]
    return total


def legendre(nodes: int) -> list[tuple[mp.mpf, mp.mpf]]:
    """Nodes and weights on [-1, 1]."""
    if nodes == 1:
        return [(mp.mpf(0), mp.mpf(2))]
    if nodes == 2:
        x = 1 / mp.sqrt(3)
        return [(-x, mp.mpf(1)), (x, mp.mpf(1))]
    if nodes == 3:
        x = mp.sqrt(mp.mpf(3) / 5)
        return [(-x, mp.mpf(5) / 9), (mp.mpf(0), mp.mpf(8) / 9), (x, mp.mpf(5) / 9)]
    raise ValueError(nodes)
