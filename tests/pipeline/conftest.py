"""The small campaign of the guide, measured once for all tests that look at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gminus2.config.campaign import load_campaign
from gminus2.execution import make_executor
from gminus2.pipeline.simulated_measurement import build_pipeline, measure_campaign
from gminus2.report.campaign_report import campaign_painter, write_campaign

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def guide_file() -> Path:
    return ROOT / "examples" / "guide.toml"


@pytest.fixture(scope="session")
def guide_output(guide_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    campaign = load_campaign(str(guide_file))
    output = tmp_path_factory.mktemp("measured")
    pipeline = build_pipeline(campaign, guide_file.parent, output, campaign_painter())
    with make_executor("threads", 2) as executor:
        found = measure_campaign(campaign, pipeline, output, executor=executor)
    write_campaign(found, output)
    return output
