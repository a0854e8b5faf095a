"""Time and memory of a whole dataset at the experiment's cadence: 378 fixed probes every 1.67 s between trolley runs.

    python benchmarks/field_dataset.py [days between runs] [trolley runs] [fid]

Printed are readings, CPU seconds of simulation plus analysis, and the peak memory of the process. With ``fid`` the
trolley runs (720 azimuths) are made and analysed as digitized FIDs. Output: docs/benchmarks/fid.md.
"""

from __future__ import annotations

import resource
import sys
import time

from gminus2.config.field import FieldSection
from gminus2.execution import make_executor
from gminus2.field.campaign import analyse_campaign
from gminus2.simulation.magnet.dataset import simulate_field_dataset


def main() -> None:
    days = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    fid_level = "fid" in sys.argv[3:]
    section = FieldSection.model_validate(
        {
            "trolley": {"fid_level": fid_level, "azimuths": 720 if fid_level else 8781},
            "datasets": [{"name": "1d", "days_between_trolley_runs": days, "trolley_runs": runs}],
        }
    )
    start = time.process_time()
    data, truth, _ = simulate_field_dataset(section, section.datasets[0], seed=1, index=0)
    with make_executor("threads") as executor:
        result = analyse_campaign(section, [data], executor=executor).results[0]
    seconds = time.process_time() - start
    span = days * 86_400 * (runs - 1)
    error = (result.unblinded(truth.offset).f_p_hz / truth.f_p_hz - 1) * 1e9
    print("| days | trolley runs | fixed readings | CPU (s) | peak memory (GB) | error / stated σ (ppb) |")
    print("|---|---|---|---|---|---|")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    level = " at FID level" if fid_level else ""
    print(
        f"| {span / 86_400:.1f} | {runs}{level} | {378 * span / 1.67 / 1e6:.0f} M | {seconds:.0f} | {peak:.2f} "
        f"| {error:+.1f} / {result.sigma_field_ppb:.1f} |"
    )


if __name__ == "__main__":
    main()
