"""The plan of the house: a module imports only from rooms to its left, and only the right wing draws or prints."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import gminus2

SOURCE = Path(gminus2.__file__).parent

COMMON_GROUND = ("errors", "units", "constants", "random", "execution", "config", "physics", "reference", "data")
LEFT_TO_RIGHT = (
    "ring",
    "detectors",
    "simulation",
    "reconstruction",
    "precession",
    "beam",
    "field",
    "measurement",
    "theory",
    "edm",
    "pipeline",
    "report",
    "cli",
)
#: An analysis must find every effect from what detectors record, so it may not look into the simulation.
ANALYSIS = ("reconstruction", "precession", "beam", "field", "measurement", "theory")


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree without the blocks that only a type checker reads."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield from _executed(child)


def _imports() -> Iterator[tuple[str, str, str]]:
    for file in sorted(SOURCE.rglob("*.py")):
        module = ".".join(["gminus2", *file.relative_to(SOURCE).with_suffix("").parts])
        for node in _executed(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                targets = [node.module]
            else:
                continue
            for target in targets:
                yield module, _room(module), target


def test_every_folder_is_a_known_room() -> None:
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert rooms <= set(COMMON_GROUND) | set(LEFT_TO_RIGHT)


def test_modules_import_only_from_rooms_to_their_left() -> None:
    wrong = []
    for module, room, target in _imports():
        other = _room(target)
        if not target.startswith("gminus2.") or other == room or other in COMMON_GROUND:
            continue
        if other not in LEFT_TO_RIGHT or room not in LEFT_TO_RIGHT:
            if module not in {"gminus2.__main__"}:
                wrong.append(f"{module} imports {target}")
        elif LEFT_TO_RIGHT.index(other) > LEFT_TO_RIGHT.index(room):
            wrong.append(f"{module} imports {target}")
    assert not wrong


def test_the_common_ground_does_not_depend_on_the_data_room_it_stands_under() -> None:
    ground = set(COMMON_GROUND) - {"data", "reference"}
    wrong = [f"{m} imports {t}" for m, room, t in _imports() if room in ground and _room(t) == "data"]
    assert not wrong


def test_no_analysis_looks_into_the_simulation() -> None:
    wrong = [f"{m} imports {t}" for m, room, t in _imports() if room in ANALYSIS and _room(t) == "simulation"]
    assert not wrong


def test_only_the_report_draws() -> None:
    wrong = [m for m, room, t in _imports() if t.split(".")[0] == "matplotlib" and room != "report"]
    assert not wrong
