"""HVP: kernel, three representations of one state, NLO, windows, pQCD, running of α, form factor, lattice input."""

from __future__ import annotations

import math
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy import integrate

from gminus2.errors import DataError, PhysicsError
from gminus2.theory.hvp.builtin import builtin_r, builtin_running
from gminus2.theory.hvp.form_factor import GounarisSakurai
from gminus2.theory.hvp.functionals import (
    alpha_running_functional,
    leading_order,
    narrow_state,
    nlo_2a,
    nlo_2b,
    window_functional,
)
from gminus2.theory.hvp.hadrons import HadronicR, Piece, from_function, narrow_resonance, perturbative, threshold
from gminus2.theory.hvp.kernel import kernel
from gminus2.theory.hvp.pqcd import PerturbativeQCD
from gminus2.theory.hvp.readers import read_correlator
from gminus2.theory.hvp.space_like import from_running, nlo_2c, space_like_momenta
from gminus2.theory.hvp.time_momentum import LatticeCorrelator, correlator_integral, time_kernel, window
from gminus2.theory.hvp.vacuum_polarisation import (
    HadronicRunning,
    final_state_factor,
    leptonic_running,
    undressing_factor,
)
from gminus2.theory.parameters import parameters
from gminus2.theory.qed import polarisation

P = parameters()
STATES = [
    (0.775, 7e-6, 469.05231069, (17.064502, 163.014835, 288.972974)),
    (1.0, 1e-6, 32.42228952, (2.562629, 16.413713, 13.445948)),
    (3.0969, 5.53e-6, 6.50730656, (4.477084, 2.017841, 0.012382)),
]


def test_kernel_reference_values() -> None:
    s = [P.m_pi0**2, 0.28**2, 0.6, 1.0, 100.0, 4 * P.m_mu**2]
    expected = [
        0.0798788494654,
        0.0301123556464,
        0.00544334412493,
        0.00339525421908,
        3.71247946501e-5,
        0.0451774444795,
    ]
    np.testing.assert_allclose(kernel(np.array(s)), expected, rtol=2e-12)


def test_kernel_equals_its_integral_at_30_digits() -> None:
    with mpmath.workdps(30):
        for s in (1e-6, 0.01, 4 * P.m_mu**2 * (1 + 1e-9), 0.3, 50.0, 1e6):
            t = mpmath.mpf(s) / mpmath.mpf(P.m_mu) ** 2
            exact = mpmath.quad(lambda x, t=t: x**2 * (1 - x) / (x**2 + (1 - x) * t), [0, 0.5, 0.99, 1])
            assert float(kernel(s)) == pytest.approx(float(exact), rel=1e-11)


def test_kernel_tends_to_m_squared_over_3s() -> None:
    for energy, ratio in ((0.28, 0.6344), (1.0, 0.912401), (10.0, 0.997648)):
        assert 3 * energy**2 * float(kernel(energy**2)) / P.m_mu**2 == pytest.approx(ratio, abs=5e-5)


def test_time_kernel_reference_values_and_seam() -> None:
    t = np.array([0.5, 2.0, 5.0, 20.0])
    np.testing.assert_allclose(time_kernel(t), [7.6353594725e-4, 0.19168035410, 6.9983939263, 1124.3772703], rtol=1e-10)
    seam = time_kernel(np.array([8 / P.m_mu * (1 - 1e-12), 8 / P.m_mu * (1 + 1e-12)]))
    assert seam[0] == pytest.approx(seam[1], rel=1e-11)
    assert float(time_kernel(1e-3)) == pytest.approx(math.pi**2 * P.m_mu**2 * 1e-12 / 9, rel=1e-4)


def test_time_kernel_equals_its_momentum_integral() -> None:
    t = 3.0

    def integrand(w: float) -> float:
        q2 = w * w
        z = (math.sqrt(q2 * q2 + 4 * P.m_mu**2 * q2) - q2) / (2 * P.m_mu**2 * q2)
        f = P.m_mu**2 * q2 * z**3 * (1 - q2 * z) / (1 + P.m_mu**2 * q2 * z * z)
        return 8 * math.pi**2 * f / w * (q2 * t * t - 4 * math.sin(w * t / 2) ** 2)

    value = sum(integrate.quad(integrand, a, b, limit=400)[0] for a, b in ((0, 0.05), (0.05, 1), (1, 30), (30, 2000)))
    assert float(time_kernel(t)) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(("mass", "width", "total", "windows"), STATES)
def test_one_state_in_three_representations(
    mass: float, width: float, total: float, windows: tuple[float, float, float]
) -> None:
    running = np.array([narrow_state(alpha_running_functional(q), mass, width) for q in space_like_momenta()])
    routes = [
        narrow_state(leading_order, mass, width),
        from_running(running),
        narrow_state(window_functional("total"), mass, width),
    ]
    np.testing.assert_allclose(np.array(routes) * 1e10, total, rtol=1e-8)
    parts = [narrow_state(window_functional(name), mass, width) * 1e10 for name in ("SD", "W", "LD")]
    np.testing.assert_allclose(parts, windows, rtol=1e-6, atol=5e-7)
    assert sum(parts) == pytest.approx(total, rel=1e-8)


def test_nlo_of_one_state() -> None:
    for mass, width, expected in (
        (0.775, 7e-6, (-13.3188178, 7.1732718, 0.0037238, 0.1537393)),
        (3.0969, 5.53e-6, (-0.3211378, 0.1018500, 0.0000917, 0.0000634)),
    ):
        running = np.array([narrow_state(alpha_running_functional(q), mass, width) for q in space_like_momenta()])
        parts = [
            narrow_state(nlo_2a, mass, width),
            narrow_state(nlo_2b(P.m_e), mass, width),
            narrow_state(nlo_2b(P.m_tau), mass, width),
            nlo_2c(running),
        ]
        np.testing.assert_allclose(np.array(parts) * 1e10, expected, rtol=1e-6, atol=6e-8)


def test_electron_loop_in_place_of_hadrons_gives_the_qed_term() -> None:
    value = from_running(lambda q2: P.alpha / math.pi * polarisation(q2 / P.m_e**2))
    assert value == pytest.approx(5.90406006e-6, rel=1e-8)
    assert value == pytest.approx((P.alpha / math.pi) ** 2 * 1.0942583092, rel=1e-9)


def test_scalar_qed_pion_loop() -> None:
    mass = 0.13957

    def velocity_cubed(s: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return 0.25 * np.clip(1 - 4 * mass**2 / s, 0, None) ** 1.5

    loop = from_function("2π point-like", velocity_cubed, 2 * mass, 1e5, panels=400)
    assert loop.integral(leading_order) == pytest.approx(7.0769034e-9, rel=1e-6)


def test_perturbative_qcd() -> None:
    qcd = PerturbativeQCD()
    assert float(qcd.alpha_strong(P.m_b, 5)) == pytest.approx(0.2246, abs=5e-5)
    assert float(qcd.alpha_strong(P.m_c, 4)) == pytest.approx(0.3864, abs=5e-5)
    np.testing.assert_allclose(qcd.r(np.array([2.0, 5.0, 12.0])), [2.1827, 3.6024, 3.8912], rtol=5e-5)
    for low, high, value in ((1.8, 3.7, 33.36), (5.0, 9.3, 6.76), (12.0, 40.0, 1.63), (40.0, math.inf, 0.16)):
        assert qcd.integral(leading_order, low, high) * 1e10 == pytest.approx(value, abs=6e-3)
    assert qcd.integral(leading_order, 9.3, 12.0, nf=5) * 1e10 == pytest.approx(1.20, abs=6e-3)
    assert perturbative(1.8).integral(leading_order) == pytest.approx(qcd.integral(leading_order, 1.8), rel=1e-7)
    with pytest.raises(PhysicsError):
        qcd.alpha_strong(0.5, 3)


def test_narrow_states_and_threshold() -> None:
    psi = [narrow_resonance(name).integral(leading_order) * 1e10 for name in ("jpsi", "psi2s")]
    assert psi == pytest.approx([6.215, 1.559], abs=1e-3)
    upsilon = sum(narrow_resonance(f"upsilon{n}s").integral(leading_order) for n in (1, 2, 3))
    assert upsilon * 1e10 == pytest.approx(0.085, abs=1e-3)
    assert threshold(0.30).integral(leading_order) * 1e10 == pytest.approx(0.519, abs=1e-3)
    assert threshold(0.32).integral(leading_order) * 1e10 == pytest.approx(2.321, abs=1e-3)


def test_gounaris_sakurai_form_factor() -> None:
    pion = GounarisSakurai()
    energy = np.array([0.5, 0.775, 0.782, 0.79, 1.0, 1.5])
    expected = [3.516674, 45.684086, 39.160256, 31.022800, 3.233560, 0.0320830]
    np.testing.assert_allclose(np.abs(pion(energy**2)) ** 2, expected, rtol=1e-6)
    assert abs(pion(np.array([1e-12]))[0]) == pytest.approx(1.0, abs=1e-9)


def test_final_state_radiation_factor() -> None:
    energy = np.array([0.3, 0.37, 0.7747, 1.0])
    np.testing.assert_allclose(final_state_factor(energy**2), [1.0279636, 1.0137625, 1.0079547, 1.0075386], atol=6e-8)
    # η → 3 at high energy.
    assert (float(final_state_factor(1e10)) - 1) * math.pi / P.alpha == pytest.approx(3.0, abs=1e-3)
    with pytest.raises(PhysicsError):
        final_state_factor(np.array([0.01]))


def test_leptonic_running_at_the_z() -> None:
    value = complex(leptonic_running(np.array([P.M_Z**2]))[0])
    assert value.real == pytest.approx(0.0314192, abs=1e-7)
    assert value.imag == pytest.approx(P.alpha, rel=1e-4)


def test_hadronic_running_agrees_with_a_subtracted_principal_value() -> None:
    energy = np.linspace(0.3, 3.0, 400)
    shape = np.exp(-(((energy - 0.9) / 0.3) ** 2)) * 5
    running = HadronicRunning(energy, shape)
    s = 1.1**2

    a, b = 0.09, 9.0
    x = a + (b - a) * (np.arange(2_000_000) + 0.5) / 2_000_000
    r_s = float(np.interp(s, energy**2, shape))
    subtracted = (np.interp(x, energy**2, shape) - r_s) / (x * (x - s))
    smooth = float(subtracted.sum()) * (b - a) / 2_000_000
    principal = smooth + r_s / s * (math.log(abs((b - s) / (s - a))) - math.log(b / a))
    expected = -P.alpha * s / (3 * math.pi) * principal
    assert float(running(np.array([s]))[0].real) == pytest.approx(expected, rel=1e-4)


def test_space_like_running_of_knots_equals_that_of_a_measure() -> None:
    energy = np.linspace(0.5, 2.0, 3000)
    shape = 1.0 + np.sin(3 * energy)
    q = np.array([1e-4, 0.01, 1.0, 100.0])
    piece = from_function("test", lambda s: 1.0 + np.sin(3 * np.sqrt(s)), 0.5, 2.0)
    np.testing.assert_allclose(
        HadronicRunning(energy, shape).space_like(q), HadronicR((piece,)).running_space_like(q), rtol=1e-6
    )


def test_undressing_factor_of_the_parametrisation_follows_the_data_off_resonance() -> None:
    energy = np.array([0.5, 0.7, 0.783, 0.79, 0.9, 1.5])
    factor = undressing_factor(energy**2, builtin_running())
    np.testing.assert_allclose(factor, [0.9869, 0.9978, 0.9500, 0.9347, 0.9588, 0.9650], atol=0.003)


def test_builtin_parametrisation_names_what_it_lacks() -> None:
    hadrons = builtin_r()
    omega = sum(piece.integral(leading_order) for piece in hadrons.pieces if piece.name == "omega")
    assert omega * 1e10 == pytest.approx(37.1, abs=0.1)
    total, _ = hadrons.leading_order()
    assert 620e-10 < total < 680e-10
    assert hadrons.space_like() == pytest.approx(total, rel=1e-8)
    assert hadrons.window("total")[0] == pytest.approx(total, rel=1e-8)
    assert float(hadrons.cumulative(np.array([1e6]))[0]) == pytest.approx(total, rel=1e-9)


def _correlator(spacing_fm: float, count: int) -> LatticeCorrelator:
    mass, width = 0.775, 7e-6
    t_fm = spacing_fm * np.arange(1, count + 1)
    area = 9 * math.pi * width / (2 * P.alpha**2) * mass**2
    g = area * np.exp(-mass * t_fm / P.hbar_c) / (12 * math.pi**2)
    return LatticeCorrelator(t_fm, g, np.diag((0.01 * g) ** 2))


def test_lattice_correlator_of_one_state_gives_its_dispersive_value() -> None:
    total, sigma = correlator_integral(_correlator(0.02, 200))
    assert total * 1e10 == pytest.approx(469.0523, rel=1e-5)
    assert 0 < sigma < 0.01 * total
    parts = [correlator_integral(_correlator(0.02, 200), name)[0] for name in ("SD", "W", "LD")]
    assert sum(parts) == pytest.approx(total, rel=1e-12)
    np.testing.assert_allclose(np.array(parts) * 1e10, STATES[0][3], rtol=2e-4)


def test_lattice_tail_continues_the_correlator() -> None:
    whole, _ = correlator_integral(_correlator(0.05, 100))
    cut, _ = correlator_integral(_correlator(0.05, 100), tail_from_fm=2.0)
    assert cut == pytest.approx(whole, rel=1e-3)


def test_lattice_error_is_linear_in_the_correlator() -> None:
    data = _correlator(0.05, 60)
    rng = np.random.default_rng(3)
    value, sigma = correlator_integral(data, "W")
    scale = (P.alpha / math.pi) ** 2 * 0.05 / P.hbar_c
    weight = scale * time_kernel(data.t_fm / P.hbar_c) * window("W", data.t_fm)
    drawn = (data.g + rng.standard_normal((20_000, 60)) * np.sqrt(np.diag(data.covariance))) @ weight
    assert sigma == pytest.approx(float(drawn.std()), rel=0.02)
    assert value == pytest.approx(float(drawn.mean()), rel=1e-3)


def test_correlator_file_and_its_errors(tmp_path: Path) -> None:
    data = _correlator(0.05, 60)
    good = tmp_path / "g.csv"
    rows = [f"{t},{g},{0.01 * g}" for t, g in zip(data.t_fm, data.g, strict=True)]
    good.write_text("t_fm,g,sigma\n" + "\n".join(rows) + "\n")
    assert correlator_integral(read_correlator(good)) == pytest.approx(correlator_integral(data), rel=1e-12)
    bad = tmp_path / "bad.csv"
    bad.write_text("t_fm,g\n" + "\n".join(row.rpartition(",")[0] for row in rows))
    with pytest.raises(DataError, match="column is missing"):
        read_correlator(bad)
    bad.write_text("t_fm,g,sigma\n" + "\n".join(rows[:10] + rows[11:]))
    with pytest.raises(DataError, match="equally spaced"):
        read_correlator(bad)


def test_window_weights_sum_to_one() -> None:
    t = np.linspace(0.01, 5, 50)
    np.testing.assert_allclose(sum(window(name, t) for name in ("SD", "W", "LD")), 1.0, rtol=1e-14)
    with pytest.raises(PhysicsError, match="no Euclidean window"):
        window("IM", t)


def test_a_piece_without_nodes_of_data_has_a_common_uncertainty() -> None:
    piece = Piece("line", np.array([1.0]), np.array([2.0]), relative_sigma=0.1)
    assert piece.sigma(leading_order) == pytest.approx(0.1 * piece.integral(leading_order))
