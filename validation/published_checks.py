"""Print every numeric relation that the published numbers of this package must satisfy, and whether it holds.

    python validation/published_checks.py

A relation that is known not to hold is listed as a documented mismatch and must go on not to hold: if it suddenly did,
a number in the table would have changed. ``docs/physics/measurement.md`` section 7 explains each of them.
"""

from __future__ import annotations

import sys

from published_experiment import Check, experiment_checks
from published_theory import theory_checks


def all_checks() -> list[Check]:
    """Return every check, grouped."""
    checks = [*experiment_checks(), *theory_checks()]
    order = list(dict.fromkeys(check.group for check in checks))
    return sorted(checks, key=lambda check: order.index(check.group))


def main() -> int:
    checks = all_checks()
    group = ""
    for check in checks:
        if check.group != group:
            group = check.group
            members = [c for c in checks if c.group == group]
            print(f"\n## {group}: {len(members)} checks\n")
            print("| check | computed | expected | tolerance | |")
            print("|---|---|---|---|---|")
        verdict = "ok" if check.ok and not check.mismatch else "documented mismatch" if check.ok else "**FAILS**"
        note = f": {check.mismatch}" if check.mismatch else ""
        numbers = f"{check.computed:.12g} | {check.expected:.12g} | {check.tolerance:.3g}"
        print(f"| {check.name} | {numbers} | {verdict}{note} |")
    failed = [c for c in checks if not c.ok]
    mismatches = sum(bool(c.mismatch) for c in checks)
    agree = len(checks) - mismatches - len(failed)
    print(f"\n{len(checks)} checks: {agree} agree, {mismatches} documented mismatches, {len(failed)} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
