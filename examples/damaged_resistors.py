"""What two damaged resistors do: the frequency of the CBO drifts for 100 µs and more.

python examples/damaged_resistors.py [output folder]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from gminus2.report import save_figure
from gminus2.report.ring_figures import cbo_figure
from gminus2.ring.cbo import cbo_curve
from gminus2.ring.esq import VoltageHistory
from gminus2.ring.injection import inject
from gminus2.ring.presets import ring_preset
from gminus2.ring.program import Observer
from gminus2.ring.tracking import track


def main(folder: Path) -> None:
    """Track the Run-1d beam with its damaged resistors and with sound ones."""
    preset = ring_preset("run1d")
    assert preset.drift is not None
    d = preset.drift
    curves = {}
    for name, damaged in (("run1d", True), ("sound resistors", False)):
        electric = preset.ring.electric
        if not damaged:
            electric = replace(electric, history=VoltageHistory((), electric.history.scraping))
        ring = replace(preset.ring, electric=electric, observers=(Observer("start", 0.0),))
        injected = inject(ring, preset.beam, 40_000, turns=60)
        result = track(ring, injected.muons, 1800, moments=True, begin=60, check_start=False)
        moments = result.moments[:, 0]
        curves[name] = cbo_curve(moments, ring.optics())
        count = moments[:, 0]
        height = -1e3 * moments[:, 3] / count
        print(
            f"{name:16s} height {height[150:250].mean():+.2f} mm at 38 us, {height[-100:].mean():+.2f} mm at 270 us; "
            f"f_CBO {1e3 * curves[name].frequency_mhz[150]:.1f} and {1e3 * curves[name].frequency_mhz[-100]:.1f} kHz"
        )
    published = {"run1d": (d.omega0, d.slow, d.slow_us, d.fast, d.fast_us)}
    save_figure(cbo_figure(curves, published), folder / "damaged_resistors.png")
    print(f"written to {folder / 'damaged_resistors.png'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("gminus2-output"))
