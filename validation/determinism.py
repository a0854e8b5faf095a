"""One campaign on every executor, with a Dask worker killed in the middle: are the histograms bit-identical?

Prints a digest of all histograms per run. Arguments: fills per dataset (default 128), or ``whole`` for the demo as it
is; datasets (default: all four); ``dask`` to leave out everything but the reference and Dask.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from gminus2.config.campaign import Campaign, changed_campaign, load_campaign
from gminus2.data.campaign import CampaignDataset
from gminus2.pipeline import simulated
from gminus2.pipeline.dask import DaskExecutor
from gminus2.pipeline.simulated import simulate_campaign


def digest(folder: Path, campaign: Campaign) -> str:
    total = hashlib.sha256()
    for index in campaign.selected():
        dataset = CampaignDataset.read(folder / f"{campaign.datasets[index].name}.h5")
        for arrays in (dataset.shared, *dataset.reconstructions.values()):
            for name in sorted(arrays):
                total.update(name.encode() + arrays[name].tobytes())
    return total.hexdigest()[:16]


def killed_worker(campaign: Campaign, folder: Path) -> str:
    """Run on a local cluster of two processes and kill one of them when half of the batches are stored."""
    executor = DaskExecutor(None, 2)
    victims = list(executor.client.run(os.getpid).values())
    killed = threading.Event()
    datasets = [campaign.datasets[k] for k in campaign.selected()]
    half = max(1, sum(-(-d.fills // campaign.fills_per_batch) for d in datasets) // 2)
    seen: set[str] = set()

    def kill() -> None:
        while len(seen) < half:
            seen.update(path.name for path in folder.glob(".work/*-*.h5"))
            time.sleep(0.02)
        os.kill(victims[0], signal.SIGKILL)
        killed.set()

    thread = threading.Thread(target=kill)
    thread.start()
    original = simulated.campaign_executor

    class Lent:
        def __enter__(self) -> tuple[DaskExecutor, int]:
            return executor, 3

        def __exit__(self, *_: object) -> None:
            executor.shutdown()

    simulated.campaign_executor = lambda *_: Lent()  # type: ignore[assignment]
    try:
        run = simulate_campaign(campaign, folder)
    finally:
        simulated.campaign_executor = original
    thread.join()
    return f"worker killed after {half} of {run.batches_done} batches: {killed.is_set()}"


def main(fills: int | None, datasets: tuple[str, ...], dask_only: bool) -> None:
    campaign = changed_campaign(load_campaign("demo"), fills=fills, datasets=datasets)
    if fills is not None:
        campaign = campaign.model_copy(update={"fills_per_batch": max(16, fills // 64 * 16)})
    size = campaign.fills_per_batch
    print(
        f"demo, datasets {' '.join(datasets) or 'a b c d'}, {fills or campaign.datasets[0].fills} fills each,"
        f" batches of {size} fills"
    )
    reference = "threads, 2 workers" if fills is None else "serial"
    with tempfile.TemporaryDirectory() as temporary:
        for label, options in (
            ("serial", {"backend": "serial"}),
            ("threads, 1 worker", {"backend": "threads", "workers": 1}),
            ("threads, 2 workers", {"backend": "threads", "workers": 2}),
            ("processes, 2 workers", {"backend": "processes", "workers": 2}),
            ("Dask, 2 processes", {"backend": "dask", "workers": 2}),
        ):
            if dask_only and label not in (reference, *(() if fills is None else ("Dask, 2 processes",))):
                continue
            folder = Path(temporary) / label.replace(" ", "").replace(",", "-")
            began = time.monotonic()
            run = simulate_campaign(campaign, folder, **options)  # type: ignore[arg-type]
            print(f"  {label:22s} {digest(folder, campaign)}  {run.decays:,} decays, {time.monotonic() - began:.0f} s")
        folder = Path(temporary) / "killed"
        note = killed_worker(campaign, folder)
        print(f"  {'Dask, a worker killed':22s} {digest(folder, campaign)}  {note}")


if __name__ == "__main__":
    words = [word for word in sys.argv[2:] if word != "dask"]
    first = sys.argv[1] if len(sys.argv) > 1 else "128"
    main(None if first == "whole" else int(first), tuple(words), "dask" in sys.argv)
