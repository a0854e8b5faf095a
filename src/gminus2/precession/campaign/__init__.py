"""Teams, correlations, systematics and combination of the ω_a analyses of a campaign.

    >>> from gminus2.precession.campaign import measure_dataset          # doctest: +SKIP
    >>> result = measure_dataset(CampaignDataset.read("a.h5"), phrase="our words")  # doctest: +SKIP
    >>> result.r_ppm, result.statistical_ppb, result.systematic_ppb      # doctest: +SKIP

Formulas: ``docs/physics/omega_a.md``.
"""

from gminus2.precession.campaign.analyses import Analysis, DatasetAnalyser, Measured, Variation
from gminus2.precession.campaign.bootstrap import Bootstrap, bootstrap_methods
from gminus2.precession.campaign.lines import BeamLine, CalorimeterLines, calorimeter_lines
from gminus2.precession.campaign.measurement import DatasetOmegaA, PairComparison, measure_dataset
from gminus2.precession.campaign.scans import DatasetScans, scan_dataset
from gminus2.precession.campaign.systematics import Systematic
from gminus2.precession.campaign.teams import DEFAULT_TEAMS, TeamsFile, analysis_of, load_teams

__all__ = [
    "DEFAULT_TEAMS",
    "Analysis",
    "BeamLine",
    "Bootstrap",
    "CalorimeterLines",
    "DatasetAnalyser",
    "DatasetOmegaA",
    "DatasetScans",
    "Measured",
    "PairComparison",
    "Systematic",
    "TeamsFile",
    "Variation",
    "analysis_of",
    "bootstrap_methods",
    "calorimeter_lines",
    "load_teams",
    "measure_dataset",
    "scan_dataset",
]
