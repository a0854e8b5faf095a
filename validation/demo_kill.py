"""A demo killed (kill -9) at random moments and resumed ends with the numbers of an undisturbed one.

    python validation/demo_kill.py [KILLS] [FILLS]          default 10 kills of a demo of 1024 fills per dataset

Both runs share one seal, so that their numbers can be compared.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def start(output: Path, fills: int) -> subprocess.Popen[bytes]:
    """Start a measurement of the demo."""
    change = 'measurement.omega_a.teams=[{name="A-global",method="A"}]'
    command = [sys.executable, "-m", "gminus2", "measure", "demo", "--fills", str(fills), "--quiet"]
    command += ["--set", change, "--set", "measurement.omega_a.systematics=false", "--output", str(output)]
    return subprocess.Popen(command)


def numbers(output: Path) -> dict[str, Any]:
    """Return what must not depend on the kills."""
    document = json.loads((output / "result.json").read_text(encoding="utf-8"))
    frozen = document["numbers"].pop("file:frozen result")
    del frozen
    return {key: document[key] for key in ("a_mu", "R_mu", "budget", "datasets", "truth", "numbers", "combination")}


def main() -> None:
    """Run, kill, resume, compare."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    fills = int(sys.argv[2]) if len(sys.argv) > 2 else 1024
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        begin = time.monotonic()
        if start(whole, fills).wait():
            raise SystemExit("the undisturbed run failed")
        duration = time.monotonic() - begin
        shutil.copytree(whole / "seal", killed / "seal", ignore=shutil.ignore_patterns("*.jsonl"))
        generator = np.random.default_rng(1)
        done = 0
        for moment in generator.uniform(0.02, 0.3, kills):
            process = start(killed, fills)
            time.sleep(moment * duration)
            if process.poll() is None:
                process.kill()
                process.wait()
                done += 1
            finished = len(list((killed / "store" / "records").glob("*.json")))
            print(f"killed after {moment * duration:5.1f} s; {finished} steps are done", flush=True)
        if start(killed, fills).wait():
            raise SystemExit("the resumed run failed")
        same = numbers(whole) == numbers(killed)
        print(f"{done} kills in runs of {duration:.0f} s; identical numbers: {same}")
        if not same:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
