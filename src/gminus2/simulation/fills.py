"""The kernel that simulates whole fills: muons, decays, arcs, losses, detector response, hit words.

One call makes a few fills in one thread with the GIL released. Every random number is Philox of (muon, fill,
purpose), so a fill does not depend on its neighbours, on the chunk or on the worker, and switching one effect off
leaves every other number as it was. Physics: ``docs/physics/detectors.md``.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gminus2.constants import MAGIC_MOMENTUM_MEV, RING_RADIUS_MM, SPEED_OF_LIGHT_MM_PER_US
from gminus2.data.hits import (
    COMPACT_SHIFT,
    ENERGY_SHIFT,
    MAX_ENERGY_CODE,
    MAX_TIME_CODE,
    STATION_SHIFT,
    TIME_SHIFT,
    U_UNIT_MM,
    Y_OFFSET_MM,
    Y_UNIT_MM,
)
from gminus2.detectors.arcs import (
    CALORIMETER_AZIMUTH_DEG,
    COLUMNS,
    CRYSTAL_PITCH_MM,
    FACE_HALF_HEIGHT_MM,
    FACE_WIDTH_MM,
    N_CALORIMETERS,
    first_face,
)
from gminus2.detectors.tracker import TRACKER_STATIONS, crosses_modules
from gminus2.physics.decay import michel_energy, positron
from gminus2.physics.numerics import gaussian_pair, log_uniform, philox, uniform
from gminus2.simulation.pool import muon_state

__all__ = ["TRUTH_SUMS", "FillSettings", "simulate_fills"]

Array = NDArray[np.float64]

#: Columns of the integer truth sums.
TRUTH_SUMS: Final = ("decays", "lost", "hits", "analysed", "analysed_shift_ppt", "analysed_delta_1e12", "tracks")

_BUCKETS: Final = 64
_BUCKET_US: Final = 11.0
_KIND_HIT, _KIND_LASER = 0, 1
_TWO_PI: Final = 2.0 * math.pi
_TRACKER_A, _TRACKER_B = TRACKER_STATIONS
_FIRST_CALO: Final = math.radians(CALORIMETER_AZIMUTH_DEG)
_PITCH_CALO: Final = _TWO_PI / N_CALORIMETERS


class FillSettings(NamedTuple):
    """What the kernel needs besides the muons. Times µs, energies MeV, lengths mm."""

    key_low: int
    key_high: int
    field_scale: float
    polarisation: float
    sin_tilt: float
    cos_tilt: float
    end_us: float
    ticks_per_us: float
    threshold_mev: float
    resolution_constant: float
    resolution_stochastic: float
    time_resolution_us: float
    position_resolution_mm: float
    flash_amplitude: Array
    flash_decay_us: float
    sag_per_mev: float
    sag_recovery_us: float
    double_pulse_per_gev: float
    double_pulse_recovery_us: float
    mip_energy_mev: float
    mip_width: float
    mip_spacing_us: float
    background_per_us: float
    background_energy_mev: float
    laser_energy_mev: float
    laser_resolution: float
    laser_first_us: float
    laser_spacing_us: float
    laser_shots: int
    tracker_x_mm: float
    tracker_y_mm: float
    tracker_angle_rad: float
    tracker_momentum: float
    tracker_efficiency: float
    truth_threshold_mev: float
    truth_start_us: float
    bunch_offset_us: Array
    bunch_scale: Array
    quantiles: Array


@njit(cache=True, nogil=True)
def simulate_fills(  # type: ignore[no-untyped-def]
    settings: Any,
    rows: Any,
    functions: Any,
    coefficients: Any,
    step_us: float,
    first_fill: int,
    muons: Any,
    bases: Any,
    count: int,
    starts: Any,
    temperature_gain: Any,
    laser_shift_us: Any,
    hit_f: Any,
    hit_i: Any,
    order: Any,
    words: Any,
    offsets: Any,
    tracks: Any,
    laser: Any,
    truth: Any,
):
    """Simulate consecutive fills.

    Parameters
    ----------
    settings
        :class:`FillSettings`.
    rows, functions, coefficients, step_us
        Muons of the supercycles, ``count`` each, and the lattice as in :class:`~gminus2.simulation.pool.MuonPool`.
    first_fill
        Number of the first fill in the dataset.
    muons, bases, starts, temperature_gain, laser_shift_us
        Per fill: stored muons, begin of its supercycle's rows, its own first row after that, gain of the detectors,
        shift of the laser shots (negative: none).
    hit_f, hit_i, order
        Scratch: (capacity, 4) float64, (capacity, 4) int64, (capacity,) int64, for one fill.
    words, offsets, tracks, laser
        Out: hit words, (F + 1,) offsets, (T, 7) and (L, 5) integer records in the order of the dtypes of
        :mod:`gminus2.data.hits`.
    truth
        Out: sums of :data:`TRUTH_SUMS` are added, (7,) int64.

    Returns
    -------
    (tracks written, laser pulses written); negative hits mean that a buffer was too small.
    """
    lat = np.empty(12)
    counts = np.empty(N_CALORIMETERS * _BUCKETS + 1, dtype=np.int64)
    crystal_time = np.empty(54)
    crystal_energy = np.empty(54)
    k0, k1 = settings.key_low, settings.key_high
    n_words = 0
    n_tracks = 0
    n_laser = 0
    offsets[0] = 0
    capacity = hit_f.shape[0]
    for f in range(muons.size):
        fill = first_fill + f
        n_hits = 0
        bunch = fill % settings.bunch_scale.size
        row_index = bases[f] + starts[f]
        last_row = bases[f] + count
        for m in range(muons[f]):
            row = rows[row_index]
            row_index += 1
            if row_index == last_row:
                row_index = bases[f]
            a0, a1, a2, a3 = philox(m, fill, 0, 0, k0, k1)
            injected = row[0] * settings.bunch_scale[bunch] + settings.bunch_offset_us[bunch]
            elapsed = -row[12] * log_uniform(a0)
            t = injected + elapsed
            b0, b1, b2, b3 = philox(m, fill, 1, 0, k0, k1)
            lost_at = row[11] * (0.9 + 0.2 * uniform(b0))
            if lost_at < t:
                truth[1] += 1
                if lost_at > settings.end_us:
                    continue
                # A lost muon spirals inward through a few neighbouring calorimeters as a minimum-ionising particle.
                chance = uniform(b1)
                visits = 2 if chance < 0.2 else (3 if chance < 0.8 else (4 if chance < 0.95 else 5))
                station = int(uniform(b2) * N_CALORIMETERS)
                for v in range(visits):
                    c0, c1, c2, c3 = philox(m, fill, 16 + v, 0, k0, k1)
                    g0, g1 = gaussian_pair(c0, c1)
                    hit_f[n_hits, 0] = lost_at + v * settings.mip_spacing_us * (1.0 + 0.01 * g1)
                    hit_f[n_hits, 1] = settings.mip_energy_mev * (1.0 + settings.mip_width * g0) - 8.0 * log_uniform(c2)
                    hit_f[n_hits, 2] = uniform(c3) * FACE_WIDTH_MM
                    hit_f[n_hits, 3] = (2.0 * uniform(b3) - 1.0) * 45.0
                    hit_i[n_hits, 0] = (station + v) % N_CALORIMETERS
                    hit_i[n_hits, 1] = m
                    hit_i[n_hits, 2] = 32 + v
                    hit_i[n_hits, 3] = 3 if (c1 & 31) != 0 else 1
                    n_hits += 1
                if n_hits > capacity - 8:
                    return -1, 0, 0
                continue
            truth[0] += 1
            if t > settings.end_us or t < 0.0:
                continue
            fraction, x, y, slope_x, slope_y, sin_psi, cos_psi = muon_state(
                row, functions, coefficients, step_us, t, elapsed, lat
            )
            # -- the decay
            michel = michel_energy(uniform(a1), settings.quantiles)
            energy, p_r, p_s, p_y = positron(
                michel,
                uniform(a2),
                uniform(a3),
                sin_psi,
                cos_psi,
                settings.sin_tilt * sin_psi,
                settings.cos_tilt,
                settings.polarisation,
                row[13],
                slope_x,
                slope_y,
            )
            if energy < settings.threshold_mev:
                continue
            azimuth = fraction * _TWO_PI
            radius = RING_RADIUS_MM + x
            station, q, y_hit, path, _ = first_face(azimuth, radius, y, p_r, p_s, p_y, settings.field_scale)
            if station < 0:
                continue
            hit_time = t + path / SPEED_OF_LIGHT_MM_PER_US
            hit_f[n_hits, 0] = hit_time
            hit_f[n_hits, 1] = energy
            hit_f[n_hits, 2] = q
            hit_f[n_hits, 3] = -y_hit
            hit_i[n_hits, 0] = station
            hit_i[n_hits, 1] = m
            hit_i[n_hits, 2] = 32
            # Small showers can look like one crystal; the chance falls with energy.
            hit_i[n_hits, 3] = 3 if (b1 & 1023) < 300.0 * math.exp(-energy / 150.0) else 1
            n_hits += 1
            if n_hits > capacity - 8:
                return -1, 0, 0
            if energy > settings.truth_threshold_mev and hit_time > settings.truth_start_us:
                truth[3] += 1
                truth[4] += math.floor(row[14] + 0.5)
                truth[5] += math.floor(1e12 * row[2] + 0.5)
            # -- the tracker's view
            if station in (_TRACKER_A, _TRACKER_B):
                p_t = math.sqrt(p_r * p_r + p_s * p_s)
                rho = p_t * (RING_RADIUS_MM / MAGIC_MOMENTUM_MEV) / settings.field_scale
                a_x = p_s / p_t
                a_y = -p_r / p_t
                c_x = radius - rho * a_x
                c_y = -rho * a_y
                face = _FIRST_CALO + _PITCH_CALO * station
                lam = p_y / p_t
                if crosses_modules(azimuth, face, radius, c_x, c_y, rho, y, lam):
                    c0, c1, c2, c3 = philox(m, fill, 4, 0, k0, k1)
                    if uniform(b3) < settings.tracker_efficiency and n_tracks < tracks.shape[0]:
                        g0, g1 = gaussian_pair(c0, c1)
                        g2, g3 = gaussian_pair(c2, c3)
                        d = math.sqrt(c_x * c_x + c_y * c_y)
                        turn = math.atan2(a_x * c_y - a_y * c_x, a_x * c_x + a_y * c_y)
                        r_tangent = d + rho - RING_RADIUS_MM + settings.tracker_x_mm * g0
                        y_tangent = y + lam * rho * turn + settings.tracker_y_mm * g1
                        time = (t + turn * rho / SPEED_OF_LIGHT_MM_PER_US) * settings.ticks_per_us * 16.0
                        tracks[n_tracks, 0] = fill
                        tracks[n_tracks, 1] = max(0, int(time + 12.8 * (uniform(b2) - 0.5)))
                        tracks[n_tracks, 2] = min(32767, max(-32767, math.floor(100.0 * r_tangent + 0.5)))
                        tracks[n_tracks, 3] = min(32767, max(-32767, math.floor(-100.0 * y_tangent + 0.5)))
                        angle = -math.atan(lam) + settings.tracker_angle_rad * g2
                        tracks[n_tracks, 4] = min(32767, max(-32767, math.floor(1e5 * angle + 0.5)))
                        momentum = math.sqrt(p_t * p_t + p_y * p_y) * (1.0 + settings.tracker_momentum * g3)
                        tracks[n_tracks, 5] = max(0, int(momentum))
                        tracks[n_tracks, 6] = 0 if station == _TRACKER_A else 1
                        n_tracks += 1
                        truth[6] += 1
        # -- accidental background: uniform in time, mostly small pulses
        expected = settings.background_per_us * settings.end_us * N_CALORIMETERS
        if expected > 0.0:
            d0, d1, d2, d3 = philox(0, fill, 2, 1, k0, k1)
            g0, g1 = gaussian_pair(d0, d1)
            n_noise = int(max(0.0, expected + math.sqrt(expected) * g0 + 0.5))
            for v in range(n_noise):
                if n_hits > capacity - 8:
                    return -1, 0, 0
                d0, d1, d2, d3 = philox(v, fill, 3, 1, k0, k1)
                hit_f[n_hits, 0] = uniform(d0) * settings.end_us
                hit_f[n_hits, 1] = settings.threshold_mev - settings.background_energy_mev * log_uniform(d1)
                hit_f[n_hits, 2] = uniform(d2) * FACE_WIDTH_MM
                hit_f[n_hits, 3] = (2.0 * uniform(d3) - 1.0) * FACE_HALF_HEIGHT_MM
                hit_i[n_hits, 0] = d2 % N_CALORIMETERS
                hit_i[n_hits, 1] = v
                hit_i[n_hits, 2] = 48
                hit_i[n_hits, 3] = 1 + 2 * (d3 & 1)
                n_hits += 1
        if laser_shift_us[f] >= 0.0:
            for shot in range(settings.laser_shots):
                time = settings.laser_first_us + shot * settings.laser_spacing_us + laser_shift_us[f]
                if time > settings.end_us or n_hits > capacity - 32:
                    continue
                for station in range(N_CALORIMETERS):
                    hit_f[n_hits, 0] = time
                    hit_f[n_hits, 1] = settings.laser_energy_mev
                    hit_i[n_hits, 0] = station
                    hit_i[n_hits, 1] = shot * N_CALORIMETERS + station
                    hit_i[n_hits, 2] = 56
                    hit_i[n_hits, 3] = 0
                    n_hits += 1
        # -- sort by calorimeter and time: buckets, then insertion
        counts[:] = 0
        for h in range(n_hits):
            bucket = hit_i[h, 0] * _BUCKETS + min(_BUCKETS - 1, int(hit_f[h, 0] / _BUCKET_US))
            counts[bucket + 1] += 1
        for b in range(counts.size - 1):
            counts[b + 1] += counts[b]
        for h in range(n_hits):
            bucket = hit_i[h, 0] * _BUCKETS + min(_BUCKETS - 1, int(hit_f[h, 0] / _BUCKET_US))
            order[counts[bucket]] = h
            counts[bucket] += 1
        begin = 0
        for b in range(counts.size - 1):
            end = counts[b]
            for h in range(begin + 1, end):
                current = order[h]
                time = hit_f[current, 0]
                g = h - 1
                while g >= begin and hit_f[order[g], 0] > time:
                    order[g + 1] = order[g]
                    g -= 1
                order[g + 1] = current
            begin = end
        # -- detector response, calorimeter by calorimeter in time order
        station_before = -1
        sag = 0.0
        sag_time = 0.0
        fill_begin = n_words
        if n_words + n_hits > words.size:
            return -1, 0, 0
        for h in range(n_hits):
            current = order[h]
            station = hit_i[current, 0]
            if station != station_before:
                station_before = station
                sag = 0.0
                sag_time = 0.0
                crystal_time[:] = -1e9
                crystal_energy[:] = 0.0
            time = hit_f[current, 0]
            energy = hit_f[current, 1]
            sag *= math.exp((sag_time - time) / settings.sag_recovery_us)
            sag_time = time
            gain = temperature_gain[f] * (
                1.0 - settings.flash_amplitude[station] * math.exp(-time / settings.flash_decay_us)
            )
            gain *= 1.0 - sag
            e0, e1, e2, e3 = philox(hit_i[current, 1], fill, hit_i[current, 2], 2, k0, k1)
            g0, g1 = gaussian_pair(e0, e1)
            if hit_i[current, 3] == 0:
                if n_laser < laser.shape[0]:
                    laser[n_laser, 0] = fill
                    laser[n_laser, 1] = int(time * settings.ticks_per_us * 16.0)
                    laser[n_laser, 2] = math.floor(1e6 * gain * (1.0 + settings.laser_resolution * g0) + 0.5)
                    laser[n_laser, 3] = station
                    laser[n_laser, 4] = 1
                    n_laser += 1
                continue
            column = min(COLUMNS - 1, max(0, int(hit_f[current, 2] / CRYSTAL_PITCH_MM)))
            line = min(5, max(0, int((hit_f[current, 3] + FACE_HALF_HEIGHT_MM) / CRYSTAL_PITCH_MM)))
            crystal = 9 * line + column
            gain *= 1.0 - settings.double_pulse_per_gev * 1e-3 * crystal_energy[crystal] * math.exp(
                (crystal_time[crystal] - time) / settings.double_pulse_recovery_us
            )
            crystal_time[crystal] = time
            crystal_energy[crystal] = energy
            sag += settings.sag_per_mev * energy
            sigma = math.sqrt(settings.resolution_constant**2 + settings.resolution_stochastic**2 * 1e3 / energy)
            seen = energy * gain * (1.0 + sigma * g0)
            if seen < settings.threshold_mev:
                continue
            g2, g3 = gaussian_pair(e2, e3)
            code = int((time + settings.time_resolution_us * g1) * settings.ticks_per_us * 16.0)
            if code < 0 or code > MAX_TIME_CODE:
                continue
            across = int((hit_f[current, 2] + settings.position_resolution_mm * g2) / U_UNIT_MM)
            height = int((hit_f[current, 3] + settings.position_resolution_mm * g3 + Y_OFFSET_MM) / Y_UNIT_MM)
            word = (
                (station << STATION_SHIFT)
                | (code << TIME_SHIFT)
                | (min(MAX_ENERGY_CODE, int(seen)) << ENERGY_SHIFT)
                | ((hit_i[current, 3] >> 1) << COMPACT_SHIFT)
                | (min(255, max(0, height)) << 8)
                | min(255, max(0, across))
            )
            # The time resolution can swap neighbours; words stay sorted.
            g = n_words - 1
            while g >= fill_begin and words[g] > word:
                words[g + 1] = words[g]
                g -= 1
            words[g + 1] = word
            n_words += 1
        truth[2] += n_words - fill_begin
        offsets[f + 1] = n_words
    return n_words, n_tracks, n_laser
