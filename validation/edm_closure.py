"""EDM closure: an injected 1e-18 e·cm, 50 null toys, the 1/√N law, and false EDMs by radial field and roll.

Run: python validation/edm_closure.py [tracks of the injected sample] [its seed]
Spins come from tracking through the ring; the dilution from an independent sample with an imposed spin.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from gminus2.edm import (
    EdmFit,
    SpinLibrary,
    Systematics,
    TrackerModel,
    calibrate_dilution,
    corrected,
    draw_tracks,
    edm_from_tilt,
    fit_edm,
    fit_rate,
    median_limit,
    profile_tracks,
    spin_library,
    tilt_from_edm,
)


def main() -> None:
    """Print the tables."""
    count = int(float(sys.argv[1])) if len(sys.argv) > 1 else 20_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 11
    begin = time.process_time()
    null = spin_library(0.0)
    dilution = calibrate_dilution(null, decays=24_000_000)

    def search(library: SpinLibrary, tracks: int, seed: int, tracker: TrackerModel | None = None) -> EdmFit:
        chunks = draw_tracks(library, tracks, tracker=tracker, seed=seed)
        profile = profile_tracks(chunks, start_us=library.start_us, stop_us=library.stop_us, width_us=library.period_us)
        return fit_edm(profile, dilution, fit_rate(profile, library.omega_a))

    print("## Spin: tilt of the tracked spins against tan δ = ηβ/2a")
    print("| d [e cm] | tilt from tracking [mrad] | expected [mrad] |")
    print("|---|---|---|")
    for edm in (1e-18, 1e-19):
        library = spin_library(edm)
        up, psi = -library.states[..., 9].ravel(), np.arctan2(-library.states[..., 7], library.states[..., 8]).ravel()
        basis = np.stack([np.ones_like(psi), np.sin(psi), np.cos(psi)], axis=1)
        measured = -np.linalg.lstsq(basis, up, rcond=None)[0][1]
        print(f"| {edm:g} | {np.arcsin(measured) * 1e3:.5f} | {tilt_from_edm(edm) * 1e3:.5f} |")

    print("\n## Injected 1e-18 e cm")
    fit = search(spin_library(1e-18), count, seed)
    pull = (fit.edm - 1e-18) / fit.edm_sigma
    print("| tracks | d [1e-19 e cm] | σ [1e-19 e cm] | pull | χ²/dof of the momentum bins |")
    print("|---|---|---|---|---|")
    print(
        f"| {fit.tracks} | {fit.edm * 1e19:.2f} | {fit.edm_sigma * 1e19:.2f} | {pull:+.2f} | {fit.chi2:.1f}/{fit.dof} |"
    )
    print("\n| momentum [MeV] | tilt [mrad] | dilution κ [mrad per unit spin] | in-phase amplitude [µrad] |")
    print("|---|---|---|---|")
    for i in range(fit.bin_tilt.size):
        low, high = fit.profile.edges_mev[i : i + 2]
        print(
            f"| {low:.0f}–{high:.0f} | {fit.bin_tilt[i] * 1e3:.2f} ± {fit.bin_sigma[i] * 1e3:.2f} |"
            f" {dilution.kappa[i] * 1e3:.3f} ± {dilution.sigma[i] * 1e3:.3f} |"
            f" {fit.in_phase[i] * 1e6:.1f} ± {fit.in_phase_sigma[i] * 1e6:.1f} |"
        )

    print("\n## Scale: large EDMs, 3 million tracks each")
    print("| d [1e-19 e cm] | measured / injected | detection phase φ_d of the rate [rad] |")
    print("|---|---|---|")
    for edm in (2e-17, -2e-17):
        one = search(spin_library(edm), 3_000_000, 13)
        ratio, error = one.edm / edm, one.edm_sigma / abs(edm)
        phase = f"{dilution.rate_phase:.3f} ± {dilution.rate_phase_sigma:.3f}"
        print(f"| {edm * 1e19:.0f} | {ratio:.3f} ± {error:.3f} | {phase} |")

    print("\n## 50 null toys of 100 000 tracks")
    toys = [search(null, 100_000, 1000 + k) for k in range(50)]
    pulls = np.array([toy.tilt / toy.tilt_sigma for toy in toys])
    inside = np.mean([corrected(toy, Systematics()).interval.lower == 0 for toy in toys])
    print("| mean of pulls | width of pulls | σ(d) [1e-18 e cm] | share of intervals that contain d = 0 |")
    print("|---|---|---|---|")
    mean_sigma = float(np.mean([toy.edm_sigma for toy in toys]))
    mean, width = float(pulls.mean()), float(pulls.std(ddof=1))
    print(f"| {mean:+.2f} ± {1 / 50**0.5:.2f} | {width:.2f} ± 0.10 | {mean_sigma * 1e18:.2f} | {inside:.2f} |")

    print("\n## Limit against number of tracks (statistics)")
    print("| tracks | σ(d) [e cm] | median limit, 95 % [e cm] | limit × √N |")
    print("|---|---|---|---|")
    for n in (50_000, 200_000, 800_000, 3_200_000):
        one = search(null, n, 77)
        limit = median_limit(one.edm_sigma)
        print(f"| {one.tracks} | {one.edm_sigma:.3e} | {limit:.3e} | {limit * one.tracks**0.5:.3e} |")

    print("\n## False EDM")
    print("| effect | expected tilt [mrad] | measured [mrad] | as an EDM [e cm] |")
    print("|---|---|---|---|")
    tilted = spin_library(0.0, radial_field_ppm=200.0)
    up, psi = -tilted.states[..., 9].ravel(), np.arctan2(-tilted.states[..., 7], tilted.states[..., 8]).ravel()
    basis = np.stack([np.ones_like(psi), np.sin(psi), np.cos(psi)], axis=1)
    spin_tilt = -np.linalg.lstsq(basis, up, rcond=None)[0][1]
    print(f"| radial field 200 ppm (spin) | 0.2000 | {spin_tilt * 1e3:.4f} | {edm_from_tilt(float(spin_tilt)):.2e} |")
    rolled = search(null, 2_000_000, 5, TrackerModel(roll_rad=0.01))
    print(
        f"| roll 10 mrad | {rolled.roll_response * 10:.1f} (response {rolled.roll_response:.2f}) |"
        f" {rolled.tilt * 1e3:.1f} ± {rolled.tilt_sigma * 1e3:.1f} | {rolled.edm:.2e} |"
    )
    print(f"\ncpu time {time.process_time() - begin:.0f} s")


if __name__ == "__main__":
    main()
