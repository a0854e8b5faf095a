"""The common ground: constants, errors, random streams, executors."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from gminus2 import constants
from gminus2.constants import codata, published
from gminus2.errors import ConfigError, GMinus2Error, MissingExtraError
from gminus2.execution import make_executor, map_ordered
from gminus2.random import key_words, stream
from gminus2.units import omega_reference


def test_every_published_number_names_a_known_source_and_status() -> None:
    sources = constants.published_sources()
    for group in constants.published_groups():
        for quantity in constants.published_table(group).values():
            assert quantity.source in sources, quantity.name
            assert quantity.status in {"source", "computed", "derived", "cross-checked", "unverified"}


def test_parts_of_an_uncertainty_add_up_to_it_within_the_rounding_of_print() -> None:
    for dataset in "abcd":
        for quantity in constants.published_table(f"experiment.e989.run1.{dataset}").values():
            if not quantity.parts:
                continue
            parts = np.array(list(quantity.parts.values()))
            total = parts.sum() if quantity.combine == "linear" else np.sqrt((parts**2).sum())
            assert quantity.sigma == pytest.approx(total, abs=1.0), quantity.name


def test_stat_and_syst_make_the_uncertainty_where_only_they_are_given() -> None:
    # E821 2006: 5.4 (stat) and 3.3 (syst) in 1e-10 are printed as a total of 6.3.
    assert published("experiment.e821.a_mu").sigma == pytest.approx(63, abs=0.5)


def test_unknown_published_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"run1\.summary\.C_e"):
        published("experiment.e989.run1.summary.Ce")


def test_codata_refuses_a_year_without_adjustment() -> None:
    assert codata(2022).g_e.value == -2.00231930436092
    with pytest.raises(ConfigError, match="2014 or 2018 or 2022"):
        codata(2020)


def test_reference_frequency_is_the_one_of_the_collaboration() -> None:
    assert omega_reference == pytest.approx(1.439477753875, abs=1e-12)


def test_magic_gamma_cancels_the_electric_term() -> None:
    a_mu = 116592059e-11
    from_gamma = 1.0 / (constants.GAMMA_MAGIC**2 - 1.0)
    assert from_gamma == pytest.approx(a_mu, rel=4e-6)  # γ is rounded to 29.3034
    momentum = constants.GAMMA_MAGIC * constants.BETA_MAGIC * constants.MUON_MASS_MEV
    assert momentum == pytest.approx(constants.MAGIC_MOMENTUM_MEV, rel=3e-6)
    radius_mm = constants.MAGIC_MOMENTUM_MEV / (constants.MAGIC_FIELD_T * constants.SPEED_OF_LIGHT_MM_PER_US * 1e-6)
    assert radius_mm == pytest.approx(constants.RING_RADIUS_MM, rel=1e-6)


def test_a_million_fill_and_calorimeter_keys_do_not_collide() -> None:
    # A product fill × calorimeter does collide; one hash per (fill, calorimeter) must not.
    keys = {int(key_words(1, "hits", fill, calo, words=1)[0]) for fill in range(2000) for calo in range(24)}
    assert len(keys) == 2000 * 24


def test_streams_with_swapped_or_joined_words_differ() -> None:
    assert stream(1, "ab", "c").random() != stream(1, "a", "bc").random()
    assert stream(1, 2, 3).random() != stream(1, 3, 2).random()
    assert stream(1, "2").random() != stream(1, 2).random()


def test_streams_are_uncorrelated() -> None:
    draws = np.array([stream(9, "x", k).standard_normal(2000) for k in range(20)])
    correlation = np.corrcoef(draws)[np.triu_indices(20, 1)]
    assert abs(correlation.mean()) < 4 / np.sqrt(2000 * 190)
    assert correlation.std() == pytest.approx(1 / np.sqrt(2000), rel=0.2)


@pytest.mark.parametrize("seed", [-1, 2**64, True])
def test_impossible_seeds_are_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match="64-bit"):
        stream(seed)


@pytest.mark.parametrize("backend", ["threads", "processes", "serial"])
def test_every_back_end_gives_the_same_results_in_order_and_passes_errors(backend: str) -> None:
    # Functions of the package, because a spawned process cannot import a test module.
    with make_executor(backend, 2) as executor:
        assert map_ordered(executor, math.factorial, range(8)) == [1, 1, 2, 6, 24, 120, 720, 5040]
        with pytest.raises(ConfigError, match="no such CODATA") as caught:
            map_ordered(executor, codata, [2018, 2020, 2022])
    assert caught.value.found == "2020"


def test_unknown_executor_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="threads"), make_executor("thread"):
        pass


def test_errors_survive_pickling_with_all_their_parts() -> None:
    error = ConfigError("m", where="w", expected="e", found="f", hint="h")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    extra = MissingExtraError("uproot", "root", "reading ROOT files")
    copy = pickle.loads(pickle.dumps(extra))
    assert isinstance(copy, GMinus2Error)
    assert "gminus2[root]" in str(copy)
