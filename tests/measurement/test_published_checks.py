"""Every row of the numeric check table of published numbers, to its stated tolerance."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

_FOLDER = str(Path(__file__).resolve().parents[2] / "validation")
sys.path.insert(0, _FOLDER)
try:
    from published_checks import all_checks
finally:
    sys.path.remove(_FOLDER)

CHECKS = all_checks()

#: The table of the published notes: group → number of checks there.
ROWS = {
    "CODATA": 14,
    "constants, K": 11,
    "Run-1 per dataset": 32,
    "Run-1 weighted means, sums, totals": 18,
    "Run-1 combination and a_mu": 13,
    "probe corrections, beam sizes": 13,
    "Run-2/3, Run-4/5/6": 21,
    "averages": 14,
    "E821": 7,
    "Standard Model sums and differences": 21,
    "QED, electron, EDM": 24,
    "design relations": 19,
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.group}: {check.name}")
def test_published_numbers_satisfy(check) -> None:
    if check.mismatch:
        assert not check.agrees, f"documented mismatch vanished: {check}"
    else:
        assert check.agrees, str(check)


def test_every_group_of_the_table_is_there_in_full_with_its_five_documented_mismatches() -> None:
    found = Counter(check.group for check in CHECKS)
    assert set(found) == set(ROWS)
    assert all(found[group] >= count for group, count in ROWS.items())
    assert sum(bool(check.mismatch) for check in CHECKS) == 5
