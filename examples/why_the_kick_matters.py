"""Why the kick matters: without it nothing is stored, with too little the beam is off-centre and oscillates.

python examples/why_the_kick_matters.py [output folder]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from gminus2.report import save_figure
from gminus2.report.ring_figures import scan_figure
from gminus2.ring.commands import scan_injection
from gminus2.ring.esq import ElectricField
from gminus2.ring.geometry import load_geometry
from gminus2.ring.injection import IncomingBeam
from gminus2.ring.kicker import KickerField
from gminus2.ring.tracking import Ring


def main(folder: Path) -> None:
    """Scan the kick and draw what is stored."""
    ring = Ring(load_geometry(), ElectricField.from_voltage(18.3, load_geometry()), KickerField(timing_us=0.01))
    kicks = np.linspace(90.0, 330.0, 13).tolist()
    scan = scan_injection(ring, IncomingBeam(), "kick", kicks, 40_000)
    names = ("stored_fraction", "x_e_mean_mm", "x_e_rms_mm", "c_e", "cbo_mm")
    rows = {name: scan.column(name) for name in names}
    errors = {
        "stored_fraction": scan.column("stored_error"),
        "x_e_mean_mm": scan.column("x_e_error_mm"),
        "c_e": scan.column("c_e_error"),
        "cbo_mm": scan.column("cbo_error_mm"),
    }
    save_figure(scan_figure(scan.values, rows, errors, "peak field of the kickers [G]"), folder / "kick.png")
    best, amplitude = scan.best_cbo()
    print(
        f"the CBO is smallest, {amplitude:.1f} mm, at {best:.0f} G; "
        f"at 180 G it is {np.interp(180.0, kicks, rows['cbo_mm']):.1f} mm"
    )
    print(f"written to {folder / 'kick.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("gminus2-output"))
