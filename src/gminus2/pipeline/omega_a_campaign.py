"""ω_a of a folder of L2 files: dataset by dataset, into one JSON result and figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gminus2.data import make_provenance, write_result
from gminus2.data.campaign import CampaignDataset
from gminus2.errors import DataError, nearest
from gminus2.execution import make_executor, map_ordered, worker_count
from gminus2.precession.blinding import Blinding
from gminus2.precession.campaign import DatasetOmegaA, DatasetScans, load_teams, measure_dataset, scan_dataset
from gminus2.precession.campaign.measurement import bootstrap as bootstrap_dataset

__all__ = ["OmegaARun", "find_datasets", "run_campaign"]


@dataclass(frozen=True)
class OmegaARun:
    """Results as written, by dataset, and the files."""

    datasets: dict[str, dict[str, Any]]
    written: tuple[Path, ...]


def find_datasets(campaign: Path, names: tuple[str, ...] = ()) -> list[Path]:
    """Return the L2 files of a folder (or the file itself), sorted by name.

    Raises
    ------
    DataError
        None, or a name that is not there.
    """
    if campaign.is_file():
        return [campaign]
    files = {path.stem: path for path in sorted(campaign.glob("*.h5"))}
    if not files:
        raise DataError(
            "no datasets in this folder",
            where=str(campaign),
            expected="the output of gminus2 simulate (mode events) or gminus2 reduce: NAME.h5",
        )
    for name in names:
        if name not in files:
            raise DataError(f"no dataset '{name}'", where=str(campaign), hint=nearest(name, files))
    return [files[name] for name in names] if names else list(files.values())


def run_campaign(
    campaign: Path,
    output: Path,
    *,
    teams_file: Path | None = None,
    datasets: tuple[str, ...] = (),
    phrase: str | None = None,
    systematics: bool = True,
    scans: bool = True,
    bootstrap: int = 0,
    draw: Callable[[DatasetOmegaA, DatasetScans | None, Path], list[Path]] | None = None,
    quiet: bool = True,
) -> OmegaARun:
    """Measure every dataset of a campaign and write ``omega-a.json`` and figures.

    Parameters
    ----------
    phrase
        Of the software blinds; it is not stored.
    bootstrap
        Replicas for the correlations of the methods; 0: none.
    draw
        Makes the figures of a dataset in a folder and returns the files.

    Raises
    ------
    DataError, FitError, ConfigError
        No datasets, unreadable ones, too few positrons, mistakes in the teams' file.
    """
    teams = load_teams(teams_file)
    paths = find_datasets(campaign, datasets)

    def one(path: Path) -> tuple[str, dict[str, Any], list[Path]]:
        dataset = CampaignDataset.read(path)
        found = measure_dataset(dataset, teams, phrase=phrase, systematics=systematics)
        document = found.to_json()
        made = _scans(found, phrase) if scans else None
        if made is not None:
            document["scans"] = made.to_json()
            document["lines"] = made.lines.to_json() if made.lines is not None else []
        if bootstrap:
            document["bootstrap"] = bootstrap_dataset(found, bootstrap, phrase=phrase).to_json()
        return dataset.name, document, draw(found, made, output) if draw is not None else []

    with make_executor("threads", min(worker_count(), len(paths))) as executor:
        parts = map_ordered(executor, one, paths, title="omega_a", quiet=quiet)
    results = {name: document for name, document, _ in parts}
    written = [path for _, _, files in parts for path in files]
    content = {"campaign": campaign.name, "datasets": results}
    target = output / "omega-a.json"
    config = {"teams": [vars(team) for team in teams], "systematics": systematics}
    write_result(target, "omega-a", content, make_provenance("omega-a", config=config))
    return OmegaARun(results, (target, *written))


def _scans(found: DatasetOmegaA, phrase: str | None) -> DatasetScans | None:
    nominal = next((m for m in found.measured if m.analysis.method == "T"), None)
    if nominal is None:
        return None
    blinding = None
    if phrase is not None:
        blinding = Blinding.from_phrase(f"{phrase}/{nominal.analysis.name}", dataset=found.dataset)
    return scan_dataset(found.analyser, nominal, blinding)
