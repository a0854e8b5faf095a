"""Tracking speed with full spin, one thread and two, beside xtrack at equal kicks where it is installed.

    python benchmarks/tracking.py        about two minutes

Our ring: four lumped electrostatic quadrupoles of 39°, 16 kicks per turn (and 32). xtrack has no curved electrostatic
quadrupole: it tracks a magnetic ring of the same layout (bends with a gradient, 16 kicks per turn in all, spin on), so
the comparison is of speed at equal work, not of physics. Times are CPU seconds; numbers are the best of several runs.
"""

from __future__ import annotations

import math
import os
import resource
import time
from collections.abc import Callable

import numpy as np

from gminus2.random import stream
from gminus2.ring.esq import ElectricField
from gminus2.ring.geometry import Geometry, load_geometry
from gminus2.ring.injection import IncomingBeam, inject
from gminus2.ring.kicker import KickerField
from gminus2.ring.program import Scheme
from gminus2.ring.tracking import Muons, Ring, track


def cpu_seconds(task: Callable[[], object], repeats: int = 4) -> tuple[float, float]:
    """Return the best CPU and wall seconds of several runs."""
    best = (math.inf, math.inf)
    for _ in range(repeats):
        cpu, wall = time.process_time(), time.perf_counter()
        task()
        best = min(best, (time.process_time() - cpu, time.perf_counter() - wall))
    return best


def muons(count: int) -> Muons:
    """A stored-like beam."""
    z = stream(1, "benchmark").standard_normal((5, count))
    return Muons.at_rest_in_beam(
        x_mm=8 * z[0], x_slope=1e-3 * z[1], y_mm=8 * z[2], y_slope=4e-4 * z[3], delta=1e-3 * z[4]
    ).select(np.hypot(z[0], z[2]) < 4.5)


def ours() -> float:
    """Print our rates; return the one at 16 kicks on one thread."""
    first = 0.0
    for title, ring in (
        ("lumped ring, 16 kicks, full spin", Ring(Geometry.lumped(), ElectricField(), observers=())),
        (
            "lumped ring, 16 kicks, full spin and EDM",
            Ring(Geometry.lumped(), ElectricField(), observers=(), edm_eta=1e-6),
        ),
        (
            "lumped ring, 32 kicks, full spin",
            Ring(Geometry.lumped(), ElectricField(), observers=(), scheme=Scheme(slices=2)),
        ),
        ("E989, 32 kicks, 5 collimators", Ring(load_geometry(), ElectricField(), observers=())),
        (
            "E989, 32 kicks, 5 collimators, all multipoles",
            Ring(load_geometry(), ElectricField(multipoles="all"), observers=()),
        ),
    ):
        beam = muons(4096)
        track(ring, beam, 2)
        cpu, _ = cpu_seconds(lambda ring=ring, beam=beam: track(ring, beam, 150, workers=1))  # type: ignore[misc]
        rate = len(beam) * 150 / cpu
        first = first or rate
        print(f"  {title:48s} {rate:10.3g} muon-turns per CPU second")
    ring, beam = Ring(Geometry.lumped(), ElectricField(), observers=()), muons(16384)
    # The engine holds no lock: two threads cost the CPU of one; the wall ratio also sees other users of the machine.
    cpus = [cpu_seconds(lambda n=n: track(ring, beam, 150, workers=n), 6)[0] for n in (1, 2)]  # type: ignore[misc]
    print(f"  CPU of two threads over one                      {cpus[1] / cpus[0]:10.2f}")
    walls = [cpu_seconds(lambda n=n: track(ring, beam, 150, workers=n), 6)[1] for n in (1, 2)]  # type: ignore[misc]
    print(f"  two threads over one (wall time)                 {walls[0] / walls[1]:10.2f}")
    return first


def memory() -> None:
    """Print how memory grows with the number of injected muons."""
    ring = Ring(load_geometry(), ElectricField(), KickerField(190.0), observers=())
    for count in (100_000, 1_000_000, 10_000_000):
        cpu, _ = cpu_seconds(lambda count=count: inject(ring, IncomingBeam(), count, turns=20), 1)  # type: ignore[misc]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"  injection of {count:10,d} muons, 20 turns: {cpu:6.1f} CPU s, peak memory {peak:5.0f} MiB")


def peers(reference: float) -> None:
    """Time xtrack on the magnetic analogue."""
    try:
        import xtrack as xt
    except ImportError:
        print("  xtrack is not installed (extra 'peers')")
        return
    os.environ.setdefault("XSUITE_ALLOW_KERNEL_COMPILATION", "1")
    radius, n_q = 7.112, 0.108 * 360.0 / 156.0
    h = 1.0 / radius
    plate, gap = math.radians(39.0) * radius, math.radians(51.0) * radius
    elements, names = [], []
    for k in range(4):
        focus = xt.Bend(length=plate, angle=plate * h, k0=h, k1=-n_q * h * h, num_multipole_kicks=4)
        focus.model, focus.integrator = "bend-kick-bend", "uniform"
        drift = xt.Bend(length=gap, angle=gap * h, k0=h)
        drift.model, drift.integrator, drift.num_multipole_kicks = "bend-kick-bend", "uniform", 1
        for bend in (focus, drift):
            bend.edge_entry_active = bend.edge_exit_active = False
        elements += [focus, drift]
        names += [f"q{k}", f"g{k}"]
    line = xt.Line(elements=elements, element_names=names)
    line.particle_ref = xt.Particles(p0c=3.09435e9, mass0=105.6583755e6, q0=1, anomalous_magnetic_moment=1.165920715e-3)
    line.build_tracker()
    line.configure_spin("auto")
    z = np.random.default_rng(1).standard_normal((5, 2000))
    turns = 50

    def run() -> None:
        p = xt.Particles(
            p0c=3.09435e9,
            mass0=105.6583755e6,
            q0=1,
            x=8e-3 * z[0],
            px=1e-3 * z[1],
            y=8e-3 * z[2],
            py=4e-4 * z[3],
            delta=1e-3 * z[4],
            spin_z=np.ones(z.shape[1]),
            anomalous_magnetic_moment=1.165920715e-3,
        )
        line.track(p, num_turns=turns)
        assert np.abs(p.spin_x).max() > 0.1, "the spin did not turn"

    run()
    cpu, _ = cpu_seconds(run)
    rate = z.shape[1] * turns / cpu
    print(f"  xtrack {xt.__version__}, magnetic analogue, 16 kicks, spin      {rate:10.3g} muon-turns per CPU second")
    print(f"  ours / xtrack                                    {reference / rate:10.1f}")


if __name__ == "__main__":
    print("gminus2")
    rate = ours()
    memory()
    print("peer")
    peers(rate)
