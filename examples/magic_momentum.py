"""Why 3.094 GeV/c: the precession frequency in an electric field, against the muon's momentum.

At p = mc/√a a radial electric field does not change ω_a. The script draws the shift of ω_a by such a field against
the momentum (the magnet scaled so that every momentum stays on the radius) and against the field, and lets the
tracking show the same in the ring: the shift of muons off the magic momentum is quadratic, with its top at 3.094 GeV/c.

    python examples/magic_momentum.py [output folder]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from gminus2.physics.spin import ANOMALY, electric_coefficient, magic_momentum
from gminus2.report import COLOURS, new_figure, save_figure
from gminus2.ring.commands import track_few
from gminus2.ring.esq import ElectricField
from gminus2.ring.geometry import load_geometry
from gminus2.ring.measure import closed_orbit
from gminus2.ring.tracking import Ring


def shift_ppm(momentum_mev: np.ndarray, radial_field_mv_per_m: float) -> np.ndarray:
    """Return Δω_a/ω_a [ppm] of a muon that feels a constant radial field on its way, field of the magnet 1.45 T.

    ω_a = (e/m)[a B − (a − (mc/p)²) β E/c], B scaled so that every momentum stays on the radius.
    """
    field = 1.4513 * momentum_mev / magic_momentum()
    beta = momentum_mev / np.hypot(momentum_mev, 105.6583755)
    electric = beta * radial_field_mv_per_m * 1e6 / 299_792_458.0
    return np.asarray(-1e6 * electric_coefficient(momentum_mev) * electric / (ANOMALY * field))


def main(folder: Path) -> None:
    """Draw the figure."""
    momentum = np.linspace(1000.0, 6000.0, 400)
    figure, axes = new_figure(1, 3, size=(12.5, 4.2))
    for colour, strength in zip(COLOURS, (-0.3, -0.1, 0.1, 0.3), strict=False):
        axes[0].plot(1e-3 * momentum, shift_ppm(momentum, strength), color=colour, label=f"{strength:+.1f} MV/m")
    axes[0].axvline(1e-3 * magic_momentum(), color="0.5", lw=0.8)
    axes[0].set_xlabel("momentum [GeV/c]")
    axes[0].set_ylabel(r"$\Delta\omega_a/\omega_a$ [ppm]")
    axes[0].legend(title="radial field")
    field = np.linspace(-0.3, 0.3, 61)
    for colour, p in zip(COLOURS, (2800.0, magic_momentum(), 3400.0), strict=False):
        values = [float(shift_ppm(np.array([p]), float(f))[0]) for f in field]
        axes[1].plot(field, values, color=colour, label=f"{p / 1e3:.3f} GeV/c")
    axes[1].set_xlabel("radial electric field [MV/m]")
    axes[1].set_ylabel(r"$\Delta\omega_a/\omega_a$ [ppm]")
    axes[1].legend(title="momentum")
    ring = Ring(load_geometry(), ElectricField(0.108), collimators="open")
    delta = np.linspace(-4e-3, 4e-3, 9)
    few = track_few(ring, closed_orbit(ring, delta), 400)
    axes[2].plot(
        magic_momentum() * (1.0 + delta) / 1e3, 1e9 * few.omega_a_shift, "o", color=COLOURS[0], label="tracked"
    )
    axes[2].plot(
        magic_momentum() * (1.0 + delta) / 1e3, 1e9 * few.expected_shift, "-", color=COLOURS[1], label="closed form"
    )
    axes[2].set_xlabel("momentum [GeV/c]")
    axes[2].set_ylabel(r"$\Delta\omega_a/\omega_a$ in the ring [ppb]")
    axes[2].legend()
    save_figure(figure, folder / "magic_momentum.png")
    print(f"magic momentum {magic_momentum():.3f} MeV/c; tracked shift at it {1e9 * few.omega_a_shift[4]:.3f} ppb")
    print(f"written to {folder / 'magic_momentum.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("gminus2-output"))
