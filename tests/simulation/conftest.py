"""Small simulated datasets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gminus2.config.campaign import BeamConfig, Campaign, DamagedPlate, DatasetConfig, VoltageComponent
from gminus2.simulation.dataset import DatasetSimulation, prepare_dataset
from gminus2.simulation.truth import draw_nature

BEAM = BeamConfig(
    vertical_mismatch=0.05,
    loss_rate_per_us=2e-3,
    voltages=(VoltageComponent(fraction=0.05, time_us=6.0),),
    damaged_plates=(DamagedPlate(plate="Q1L", fraction=0.2, time_us=60.0),),
)


def _prepared(**changes: object) -> DatasetSimulation:
    campaign = Campaign(
        name="small",
        seed=5,
        pool_muons=20_000,
        datasets=(DatasetConfig(name="a", fills=48, muons_per_fill=1500.0, beam=BEAM),),
    )
    campaign = campaign.model_copy(update=changes)
    return prepare_dataset(campaign, 0, draw_nature(campaign.truth))


@pytest.fixture(scope="session")
def prepared() -> Callable[..., DatasetSimulation]:
    """Prepare a small dataset; keywords change the campaign."""
    return _prepared


@pytest.fixture(scope="session")
def simulation() -> DatasetSimulation:
    return _prepared()


@pytest.fixture(scope="session")
def beam_config() -> BeamConfig:
    return BEAM
