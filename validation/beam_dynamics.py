"""Run-1 presets, their CBO and its decay, the analytic form: beside the published numbers.

    python validation/beam_dynamics.py            about 3 minutes on one core

The kick table is in validation/kick_table.py, losses are in validation/lost_muons.py. The printed output is kept in
docs/validation/beam_dynamics.md.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gminus2.constants import published
from gminus2.errors import FitError
from gminus2.ring.calibration import calibrate, check_against_tracking, stored_beam
from gminus2.ring.cbo import CboCurve, cbo_curve, fit_decay, fit_drift
from gminus2.ring.esq import ElectricField, VoltageHistory
from gminus2.ring.geometry import load_geometry
from gminus2.ring.injection import IncomingBeam, inject
from gminus2.ring.kicker import KickerField
from gminus2.ring.presets import ring_preset
from gminus2.ring.program import Observer
from gminus2.ring.tracking import Muons, Ring, track

#: τ_CBO of the four datasets [µs] and its error, 0 where it was fixed (N. Kinnaird, thesis).
PUBLISHED_TAU = {"run1a": (178.9, 14.7), "run1b": (99.4, 0.0), "run1c": (137.4, 62.0), "run1d": (200.3, 33.5)}
SEEDS = (1, 2, 3)
FIT_US = (30.0, 280.0)


def curve(ring: Ring, muons: Muons, count: int = 3000) -> CboCurve:
    """Track stored muons from turn 100 to 2000 and return their CBO at azimuth 0."""
    watched = replace(ring, observers=(Observer("start", 0.0),))
    chosen = muons.select(np.arange(min(count, len(muons))))
    result = track(watched, chosen, 1900, moments=True, begin=100, check_start=False)
    return cbo_curve(result.moments[:, 0], ring.optics())


def spread(values: list[float]) -> tuple[float, float]:
    """Return the mean and its error from the scatter over seeds."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


def run1() -> None:
    """C_e, C_p, CBO decay and drift of the presets."""
    print("RUN-1 PRESETS (run1 pulse, +10 ns, full map, w bunch, all multipoles; three seeds of 3000 tracked muons)\n")
    for name in ("run1a", "run1b", "run1c", "run1d", "repaired"):
        preset = ring_preset(name)
        assert preset.ring.kicker is not None
        injected = [inject(preset.ring, preset.beam, 60_000, turns=100, seed=seed) for seed in SEEDS]
        s = [i.summary() for i in injected]
        c_e, c_p = (float(published(f"{preset.published}.{k}")) for k in ("C_e", "C_p"))
        ours, ours_p = spread([1e9 * v.c_e for v in s]), spread([1e9 * v.c_p for v in s])
        print(
            f"{name}: {preset.voltage_kv} kV, kick {preset.ring.kicker.peak_gauss:.0f} G, stored "
            f"{100 * s[0].stored_fraction:.2f} %, x_e {s[0].x_e_mean_mm:.1f} ± {s[0].x_e_rms_mm:.1f} mm, "
            f"y rms {s[0].y_rms_mm:.1f} mm, CBO {s[0].cbo_mm:.1f} mm, corr(t, delta) "
            f"{s[0].time_momentum_correlation:+.2f}"
        )
        print(
            f"   C_e {ours[0]:.0f}({ours[1]:.0f}) ppb (published {c_e:.0f}), C_p {ours_p[0]:.0f}({ours_p[1]:.0f}) ppb "
            f"(published {c_p:.0f})"
        )
        if preset.drift is None:
            continue
        curves = [curve(preset.ring, i.muons) for i in injected]
        tau = spread([fit_decay(c, *FIT_US)[1] for c in curves])
        d = preset.drift
        fits = [fit_drift(c, 21.0, FIT_US[1], slow_us=d.slow_us, fast_us=d.fast_us) for c in curves]
        omega, slow, fast = (spread([getattr(f, k) for f in fits]) for k in ("omega0", "slow", "fast"))
        known = PUBLISHED_TAU[name]
        print(
            f"   tau_CBO {tau[0]:.0f}({tau[1]:.0f}) us (published {known[0]:.0f}"
            + (f"({known[1]:.0f})" if known[1] else ", fixed")
            + f"); phase: omega_0 {omega[0]:.4f} ({d.omega0:.4f}) rad/us, slow {slow[0]:.2f}({slow[1]:.2f}) "
            f"({d.slow:.2f}: {slow[0] / d.slow:.2f}) rad, fast {fast[0]:.1f}({fast[1]:.1f}) ({d.fast:.2f}) rad"
        )


def octupole() -> None:
    """Why the CBO of Run-1d lives longer: the octupole of the plates behind the damaged resistors."""
    print("\nTHE SLOW TERM AND THE DECAY OF THE CBO (Run-1d, the same muons after turn 100)\n")
    ring = ring_preset("run1d").ring
    history, geometry = ring.electric.history, ring.geometry

    def with_history(changed: VoltageHistory) -> Ring:
        return replace(ring, electric=replace(ring.electric, history=changed))

    slow = history.transients
    sides = tuple(replace(t, sides=(side,)) for t, side in zip(slow, ("outer", "inner"), strict=True))
    even = tuple(replace(t, amplitude=0.25 * t.amplitude, sides=("outer", "top", "inner", "bottom")) for t in slow)
    muons = inject(ring, ring_preset("run1d").beam, 80_000, turns=100).muons
    for title, changed in (
        ("top and bottom plate of Q1L low (the preset)", ring),
        (
            "the same without the octupole of single plates",
            replace(ring, geometry=replace(geometry, plate_response=(*geometry.plate_response[:3], 0.0))),
        ),
        ("all four plates of Q1L low, same n(t)", with_history(VoltageHistory(even, history.scraping))),
        ("outer and inner plate of Q1L low", with_history(VoltageHistory(sides, history.scraping))),
        ("no slow term", with_history(VoltageHistory((), history.scraping))),
    ):
        print(f"   {title:50s} tau_CBO {fit_decay(curve(changed, muons, 4000), *FIT_US)[1]:4.0f} us")


def sextupole() -> None:
    """CBO decay time against the sextupole switch and the multipoles."""
    print("\nCBO DECAY TIME [us] AGAINST THE FIELD MODEL (one seed, 3000 muons)\n")
    for name, cases in (
        ("run1a", (("none", 0.75), ("main", 0.75), ("all", -2.0), ("all", 0.0))),
        ("run1d", (("all", -2.0), ("all", 0.0))),
    ):
        preset = ring_preset(name)
        muons = inject(preset.ring, preset.beam, 60_000, turns=100).muons
        for multipoles, switch in cases:
            electric = replace(preset.ring.electric, multipoles=multipoles, sextupole_switch=switch)
            ring = replace(preset.ring, electric=electric, collimators="open")
            try:
                text = f"{fit_decay(curve(ring, muons), *FIT_US)[1]:.0f}"
            except FitError as error:
                text = str(error).splitlines()[0]
            print(f"   {name}, multipoles {multipoles:5s} s = {switch:5.2f}: {text}")


def analytic() -> None:
    """Residual of the per-muon polynomials against tracking."""
    print("\nANALYTIC FORM AGAINST TRACKING (1024 turns, stored muons)\n")
    for title, ring in (
        ("n = 0.108, no multipoles", Ring(load_geometry(), ElectricField(0.108), KickerField(180.0))),
        (
            "n = 0.108, 12/20/28-pole",
            Ring(load_geometry(), ElectricField(0.108, multipoles="main"), KickerField(180.0)),
        ),
        ("run1a preset, all multipoles", ring_preset("run1a").ring),
    ):
        injected = inject(ring, IncomingBeam(), 20_000, turns=100)
        beam = stored_beam(injected, calibrate(ring))
        r = check_against_tracking(beam, ring)
        print(
            f"{title}: omega_a {r.omega_a_ppb:.4f} ppb rms (mean {r.omega_a_mean_ppb:+.4f}), x {r.x_mm:.2f} mm, "
            f"y {r.y_mm:.2f} mm, spin phase {1e6 * r.spin_phase_rad:.1f} urad rms after {r.turns} turns"
        )


if __name__ == "__main__":
    run1()
    octupole()
    sextupole()
    analytic()
