"""Shared fixtures: where the real data are, and a fresh output folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def reference_data() -> Path | None:
    """Return the folder of real test data (``GMINUS2_DATA``, else ``../shared/data``), or None."""
    given = os.environ.get("GMINUS2_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real test data; the test is skipped where they are absent."""
    folder = reference_data()
    if folder is None:
        pytest.skip("no reference data: set GMINUS2_DATA to the folder that holds e989_run3b/")
    return folder
