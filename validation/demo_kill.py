"""A demo killed (kill -9) at random moments of every stage and resumed ends with the numbers of an undisturbed one.

    python validation/demo_kill.py [KILLS] [FILLS]          default 10 kills of two datasets of 1024 fills

Kill number k waits until the store holds its share of the steps, then for a random part of a step: so the kills fall
into all stages, the last into freezing, opening and writing. Both runs share one seal, so that their numbers can be
compared.
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
    """Start a measurement of two datasets of the demo."""
    change = 'measurement.omega_a.teams=[{name="A-global",method="A"}]'
    command = [sys.executable, "-m", "gminus2", "measure", "demo", "--fills", str(fills), "--quiet"]
    command += ["--set", 'only=["a","b"]', "--set", change, "--set", "measurement.omega_a.systematics=false"]
    return subprocess.Popen([*command, "--output", str(output)])


def done(output: Path) -> list[str]:
    """Return the steps that the store has finished."""
    return [json.loads(p.read_text(encoding="utf-8"))["step"] for p in (output / "store" / "records").glob("*.json")]


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
        document = json.loads((whole / "result.json").read_text(encoding="utf-8"))
        names = [step["name"] for step in document["steps"]]
        seconds = {step["name"]: step["seconds"] for step in document["steps"]}
        shutil.copytree(whole / "seal", killed / "seal", ignore=shutil.ignore_patterns("*.jsonl"))
        generator = np.random.default_rng(1)
        count = 0
        for k in range(kills):
            target = round(k * len(names) / max(kills - 1, 1))
            process = start(killed, fills)
            while process.poll() is None and len(done(killed)) < target:
                time.sleep(0.05)
            # What runs now, or the end of the run, lasts about that long.
            current = names[target] if target < len(names) else "freezing, opening, writing"
            time.sleep(float(generator.uniform(0.0, 1.0)) * seconds.get(current, 1.0))
            if process.poll() is None:
                process.kill()
                process.wait()
                count += 1
                print(f"kill {count:2d} in {current}; {len(done(killed))} of {len(names)} steps are done", flush=True)
        if start(killed, fills).wait():
            raise SystemExit("the resumed run failed")
        same = numbers(whole) == numbers(killed)
        print(f"{count} kills of a run of {duration:.0f} s; identical numbers: {same}")
        if not same:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
