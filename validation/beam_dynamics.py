"""Injection, Run-1 presets, CBO, losses: what the stored beam gives beside the published or noted numbers.

    python validation/beam_dynamics.py            about 2 minutes on one core

The printed output is kept in docs/validation/beam_dynamics.md.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gminus2.constants import published
from gminus2.ring.calibration import calibrate, check_against_tracking, stored_beam
from gminus2.ring.cbo import cbo_curve, fit_decay, fit_drift
from gminus2.ring.commands import scan_injection
from gminus2.ring.esq import ElectricField, VoltageHistory
from gminus2.ring.geometry import load_geometry
from gminus2.ring.injection import IncomingBeam, inject
from gminus2.ring.kicker import KickerField
from gminus2.ring.losses import through_calorimeters
from gminus2.ring.presets import ring_preset
from gminus2.ring.program import Observer
from gminus2.ring.tracking import Ring, track

KICKS = [150.0, 180.0, 204.0, 225.0, 250.0, 293.0]
#: Stored %, x_e mean, rms [mm], C_e [ppb], CBO [mm], corr(t, delta) with a recorded pulse and bunch (project notes).
NOTES = [
    (5.0, 10.1, 9.7, 744, 17.2, 0.01),
    (6.5, 7.5, 9.4, 550, 11.7, 0.00),
    (7.1, 5.2, 9.3, 433, 8.1, 0.01),
    (7.4, 3.2, 9.2, 363, 5.3, 0.02),
    (7.3, 0.8, 9.1, 319, 5.1, 0.05),
    (6.4, -3.0, 9.0, 342, 9.8, 0.14),
]


def kick_table() -> None:
    """The kick table for several pulses, bunches, timings and kicker maps."""
    print("KICK TABLE (n = 0.108, 100 000 muons per row)\n")
    print("notes: recorded pulse and bunch (not public)")
    for kick, row in zip(KICKS, NOTES, strict=True):
        print(
            f"  {kick:5.0f} G  stored {row[0]:4.1f} %  x_e {row[1]:5.1f} ± {row[2]:4.1f} mm  C_e {row[3]:4.0f} ppb  "
            f"CBO {row[4]:4.1f} mm  corr {row[5]:+.2f}"
        )
    for title, kicker, profile in (
        (
            "run1 pulse, w bunch, +10 ns, uniform map",
            KickerField(pulse="run1", timing_us=0.01, transverse_map="uniform"),
            "w",
        ),
        (
            "run1 pulse, w bunch, +20 ns, uniform map",
            KickerField(pulse="run1", timing_us=0.02, transverse_map="uniform"),
            "w",
        ),
        ("run1 pulse, w bunch, +10 ns, full map", KickerField(pulse="run1", timing_us=0.01), "w"),
        ("run1 pulse without ringing, w bunch, full map", KickerField(pulse="run1-no-ringing", timing_us=0.01), "w"),
        ("cos2 pulse 145 ns, Gaussian bunch 25 ns, full map", KickerField(pulse="cos2"), "gauss25"),
        ("LCR pulse, flat bunch 125 ns, full map", KickerField(pulse="lcr"), "flat125"),
    ):
        ring = Ring(load_geometry(), ElectricField(0.108), kicker)
        scan = scan_injection(ring, IncomingBeam(profile=profile), "kick", KICKS, 100_000)
        print(title)
        for kick, s in zip(KICKS, scan.summaries, strict=True):
            print(
                f"  {kick:5.0f} G  stored {100 * s.stored_fraction:4.1f} %  x_e {s.x_e_mean_mm:5.1f} ± "
                f"{s.x_e_rms_mm:4.1f} mm  C_e {1e9 * s.c_e:4.0f} ± {1e9 * s.c_e_error:2.0f} ppb  "
                f"CBO {s.cbo_mm:4.1f} mm  corr {s.time_momentum_correlation:+.2f}"
            )


def run1() -> None:
    """C_e, C_p, CBO decay and drift of the presets; the analytic form."""
    print("\nRUN-1 PRESETS (run1 pulse, +10 ns, full map, w bunch; sextupole switch 0, all multipoles)\n")
    for name in ("run1a", "run1b", "run1c", "run1d", "repaired"):
        preset = ring_preset(name)
        assert preset.ring.kicker is not None
        injected = inject(preset.ring, preset.beam, 60_000, turns=100)
        s = injected.summary()
        c_e, c_p = (float(published(f"{preset.published}.{k}")) for k in ("C_e", "C_p"))
        print(
            f"{name}: {preset.voltage_kv} kV, kick {preset.ring.kicker.peak_gauss:.0f} G, stored "
            f"{100 * s.stored_fraction:.2f} %, x_e {s.x_e_mean_mm:.1f} ± {s.x_e_rms_mm:.1f} mm, "
            f"y rms {s.y_rms_mm:.1f} mm"
        )
        print(
            f"   C_e {1e9 * s.c_e:.0f} ± {1e9 * s.c_e_error:.0f} ppb (published {c_e:.0f}), C_p {1e9 * s.c_p:.0f} ppb "
            f"(published {c_p:.0f}), corr(t, delta) {s.time_momentum_correlation:+.2f}"
        )
        ring = replace(preset.ring, observers=(Observer("start", 0.0),))
        chosen = injected.muons.select(np.arange(min(3000, len(injected.muons))))
        result = track(ring, chosen, 2000, moments=True, begin=100, check_start=False)
        curve = cbo_curve(result.moments[:, 0], ring.optics())
        _, decay = fit_decay(curve, 30.0, 280.0)
        print(f"   CBO {curve.amplitude_mm[200]:.1f} mm, decay time (30-280 us) {decay:.0f} us", end="")
        if preset.drift is not None:
            d = preset.drift
            f = fit_drift(curve, 21.0, 280.0, slow_us=d.slow_us, fast_us=d.fast_us)
            print(
                f"; phase: omega_0 {f.omega0:.4f} (published {d.omega0:.4f}) rad/us, slow {f.slow:.2f} ({d.slow:.2f}) "
                f"rad, fast {f.fast:.2f} ({d.fast:.2f}) rad",
                end="",
            )
        print(f"; lost {100 * (1 - len(result.muons) / len(chosen)):.2f} % in 298 us")


def sextupole() -> None:
    """CBO decay time against the sextupole switch and the multipoles (Run-1a)."""
    print("\nCBO DECAY TIME (Run-1a) AGAINST THE FIELD MODEL\n")
    preset = ring_preset("run1a")
    injected = inject(preset.ring, preset.beam, 40_000, turns=100)
    for multipoles, switch in (
        ("none", 0.0),
        ("none", -2.0),
        ("main", -2.0),
        ("main", 0.0),
        ("all", -2.0),
        ("all", 0.0),
    ):
        electric = replace(preset.ring.electric, multipoles=multipoles, sextupole_switch=switch)
        ring = replace(preset.ring, electric=electric, observers=(Observer("start", 0.0),), collimators="open")
        result = track(ring, injected.muons, 2000, moments=True, begin=100, check_start=False)
        curve = cbo_curve(result.moments[:, 0], ring.optics())
        try:
            text = f"{fit_decay(curve, 30.0, 280.0)[1]:.0f} us"
        except Exception as error:
            text = str(error).splitlines()[0]
        print(f"multipoles {multipoles:5s} s = {switch:4.1f}: {text}")


def losses() -> None:
    """Loss rate against time and momentum, and triple coincidences."""
    print("\nLOST MUONS (Run-1a, copper collimators)\n")
    preset = ring_preset("run1a")
    for title, scraping in (("with scraping", True), ("without scraping", False)):
        history = preset.ring.electric.history
        if not scraping:
            history = VoltageHistory(history.transients)
        ring = replace(
            preset.ring, electric=replace(preset.ring.electric, history=history), collimators="copper", observers=()
        )
        injected = inject(ring, preset.beam, 150_000, turns=30)
        result = track(ring, injected.muons, 1500, begin=30, check_start=False)
        lost = np.isfinite(result.losses[:, 0])
        time = result.losses[lost, 7] / 299.792458
        delta = injected.muons.delta[lost]
        edges = [4.5, 6, 8, 10, 15, 20, 30, 50, 100, 228]
        counts = np.histogram(time, edges)[0]
        print(f"{title}: {len(injected.muons)} muons after 30 turns")
        left = len(injected.muons)
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
            print(
                f"   {low:5.1f}-{high:5.1f} us: {count:5d} lost, "
                f"{1e6 * count / left / (high - low):8.1f} e-6 per muon and us"
            )
            left -= count
        bins = np.quantile(injected.muons.delta, np.linspace(0, 1, 7))
        share = np.histogram(delta, bins)[0] / np.histogram(injected.muons.delta, bins)[0]
        middle = 0.5 * (bins[1:] + bins[:-1])
        print(
            "   lost fraction by delta [1e-3]: "
            + ", ".join(f"{1e3 * m:+.2f}: {100 * v:.1f} %" for m, v in zip(middle, share, strict=True))
        )
        hits = through_calorimeters(ring, result.losses)
        print(
            f"   {np.unique(hits.muon).size} of {lost.sum()} lost muons cross a calorimeter, "
            f"{hits.consecutive(3).size} make a triple coincidence"
        )


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
    kick_table()
    run1()
    sextupole()
    losses()
    analytic()
