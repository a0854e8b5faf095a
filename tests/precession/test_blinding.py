"""The blind hides R and nothing else, is the same for the same words, and never shows itself."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from precession_tools import pseudo_data

from gminus2.errors import BlindingError
from gminus2.precession import Blinding, FitSettings, fit, preset
from gminus2.precession.blinding import draw_offsets
from gminus2.precession.e989_blinding import Sfmt19937, blinders_offset

FIVE = {"N0": 5.8e6, "tau": 64.44, "A": 0.37, "R": -50.0, "phi": 2.1}


def test_the_collaboration_s_phrase_gives_its_published_shift() -> None:
    # ω(0)/ω_ref - 1 = -s·ΔR.
    assert -blinders_offset("test string") == pytest.approx(12.486945, abs=5e-7)


def test_generator_passes_the_self_test_of_its_library() -> None:
    generator = Sfmt19937([])
    assert [generator.word() for _ in range(10_000)][-1] == 2695024307


def test_offsets_have_the_distribution_of_the_convention() -> None:
    native = draw_offsets(np.random.default_rng(1), 200_000)
    ours = np.array([blinders_offset(f"phrase {i}") for i in range(400)])
    edge = 2.0 * np.pi
    inside = 48.0 / (48.0 + np.sqrt(edge))
    for sample in (native, ours):
        error = np.sqrt(inside * (1.0 - inside) / len(sample))
        assert abs((np.abs(sample) <= 24.0).mean() - inside) < 4.0 * error
        assert abs(sample.mean()) < 4.0 * sample.std() / np.sqrt(len(sample))
    outside = np.abs(native[np.abs(native) > 24.0]) - 24.0
    assert (outside**2).mean() == pytest.approx(1.0, abs=4.0 * np.sqrt(2.0 / len(outside)))


@pytest.mark.parametrize("convention", ["native", "e989"])
def test_a_blind_moves_r_and_nothing_else(convention: str) -> None:
    data = pseudo_data(preset("five").started(FIVE), seed=2)
    settings = FitSettings()
    open_fit = fit(data, "five", settings)
    blinding = Blinding.from_phrase("pit of despair", convention=convention)  # type: ignore[arg-type]
    blind = fit(data, "five", settings, blinding=blinding)
    again = fit(data, "five", settings, blinding=Blinding.from_phrase("pit of despair", convention=convention))  # type: ignore[arg-type]
    other = fit(data, "five", settings, blinding=Blinding.from_phrase("another", convention=convention))  # type: ignore[arg-type]
    assert blind.value("R") == again.value("R")
    assert blind.blinding_label == again.blinding_label != other.blinding_label
    assert abs(blind.value("R") - other.value("R")) > 1e-3
    assert blind.value("R") - open_fit.value("R") == pytest.approx(blinding.hidden_offset_ppm(), abs=1e-3)
    for name in ("N0", "tau", "A", "phi"):
        assert blind.value(name) == pytest.approx(open_fit.value(name), rel=1e-8)
        assert blind.error(name) == pytest.approx(open_fit.error(name), rel=1e-6)
    assert blind.blinded


def test_the_offset_is_nowhere_to_be_read() -> None:
    blinding = Blinding.from_phrase("pit of despair", dataset="1a")
    offset = blinding.hidden_offset_ppm()
    data = pseudo_data(preset("five").started(FIVE), seed=2)
    shown = repr(blinding) + str(blinding) + json.dumps(fit(data, "five", blinding=blinding).to_json(), default=str)
    for digits in (f"{offset:.4f}", f"{abs(offset):.3f}"):
        assert digits not in shown
    assert "despair" not in shown
    for store in (pickle.dumps, copy.deepcopy):
        with pytest.raises(BlindingError, match="never stored"):
            store(blinding)
    assert Blinding.from_phrase("pit of despair", dataset="1b").label != blinding.label


def test_empty_phrase_and_named_dataset_are_refused() -> None:
    with pytest.raises(BlindingError, match="must not be empty"):
        Blinding.from_phrase("  ")
    with pytest.raises(BlindingError, match="knows no dataset"):
        Blinding.from_phrase("x", dataset="1a", convention="e989")
