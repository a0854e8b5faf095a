"""``gminus2 fid``: frequencies of recorded free induction decays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gminus2.cli.common import output_options, printer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gminus2.physics.nmr import RecordFormat

__all__ = ["fid"]

_MODELS = ("p1", "odd3", "odd5", "p3", "p5")
_COLUMNS = ("f_hz", "sigma_hz", "chi2", "n_dof", "n_blocks", "noise_adc", "amplitude_adc", "phase_rad", "f_odd3_hz")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--dataset", default="fid", show_default=True, help="Name of the (n_fid, n_sample) array in an HDF5 file."
)
@click.option(
    "--probe",
    type=click.Choice(["fixed", "trolley", "plunging"]),
    default="fixed",
    show_default=True,
    help="Record format: sampling rate, length, time of the pulse.",
)
@click.option("--fs-hz", type=float, help="Sampling rate; overrides the format.")
@click.option("--pulse-sample", type=float, help="Position of the pulse in samples; overrides the format.")
@click.option("--model", type=click.Choice(_MODELS), default="odd5", show_default=True, help="Phase model.")
@click.option(
    "--window", type=float, default=0.37, show_default=True, help="End of the fit, fraction of the peak amplitude."
)
@click.option("--any-length", is_flag=True, help="Accept records whose length is not that of the format.")
@output_options
def fid(
    file: Path,
    dataset: str,
    probe: str,
    fs_hz: float | None,
    pulse_sample: float | None,
    model: str,
    window: float,
    any_length: bool,
    output: Path,
    quiet: bool,
) -> None:
    """Extract the frequency of every FID in FILE (.npy or .h5, array n_fid x n_sample).

    Writes fid.json (summary), fid.h5 (one row per FID) and fid.png to the output folder.
    """
    import numpy as np

    from gminus2.data import StoredArray, StoredArrays, make_provenance, write_arrays, write_result
    from gminus2.errors import ConfigError, DataError
    from gminus2.execution import make_executor, map_ordered
    from gminus2.field.frequency import FrequencyResult, frequency
    from gminus2.physics.nmr import HZ_PER_PPB, record_format
    from gminus2.report.field_figures import fid_figure
    from gminus2.report.plotting import save_figure

    if not 0.01 < window < 0.95:
        raise ConfigError("the window must be a fraction of the peak", expected="0.01 … 0.95", found=str(window))
    record = record_format(probe)
    if fs_hz is not None:
        record = record.with_(fs_hz=fs_hz)
    if pulse_sample is not None:
        record = record.with_(pulse_sample=pulse_sample)
    records, stated_fs = _read(file, dataset)
    _check(file, records, record, stated_fs, any_length)
    _check_band(file, records[:16], record)

    def one(first: int) -> FrequencyResult:
        return frequency(records[first : first + 2000], record.fs_hz, record.t_pulse_s, model, window)

    with make_executor() as executor:
        parts = map_ordered(executor, one, list(range(0, len(records), 2000)), title="FIDs", quiet=quiet)
    result = FrequencyResult.concatenate(parts)
    good = result.is_good
    provenance = make_provenance(
        "gminus2 fid", config={"model": model, "window": window, "record": str(record)}, inputs=[file]
    )
    summary: dict[str, Any] = {
        "n_fid": len(records),
        "n_good": int(good.sum()),
        "model": model,
        "window": window,
        "fs_hz": record.fs_hz,
        "flags": result.flag_counts(),
        "mean_f_hz": float(np.mean(result.f_hz[good])) if good.any() else None,
        "scatter_hz": float(np.std(result.f_hz[good])) if good.any() else None,
        "median_sigma_hz": float(np.median(result.sigma_hz[good])) if good.any() else None,
        "median_sigma_ppb": float(np.median(result.sigma_hz[good])) / HZ_PER_PPB if good.any() else None,
        "median_snr": float(np.median((result.amplitude_adc / result.noise_adc)[good])) if good.any() else None,
    }
    write_result(output / "fid.json", "fid", summary, provenance)
    arrays = {name: StoredArray(getattr(result, name), _unit(name), name) for name in _COLUMNS}
    arrays["flags"] = StoredArray(result.flags, "1", "bits of gminus2.field.frequency.Flag, 0 = good")
    write_arrays(output / "fid.h5", StoredArrays("fid-frequencies", arrays, {"model": model}, provenance))
    save_figure(fid_figure(np.asarray(records[:1], dtype=float)[0], record, result), output / "fid.png")
    console = printer(quiet)
    console.print(f"{file.name}: {len(records)} FIDs, {int(good.sum())} good, model {model}, window {window:g}")
    if good.any():
        console.print(
            f"mean {summary['mean_f_hz']:.4f} Hz, scatter {summary['scatter_hz']:.4f} Hz, "
            f"median σ {summary['median_sigma_hz'] * 1e3:.2f} mHz = {summary['median_sigma_ppb']:.2f} ppb"
        )
    for name, count in summary["flags"].items():
        if count:
            console.print(f"  flag {name}: {count}")
    console.print(f"written to {output}")
    if not good.any():
        raise DataError("no FID in the file is usable", where=str(file), hint="see the flags in fid.json")


def _unit(name: str) -> str:
    return {"hz": "Hz", "adc": "ADC", "rad": "rad"}.get(name.rpartition("_")[2], "1")


def _read(file: Path, dataset: str) -> tuple[NDArray[np.generic], float | None]:
    """Return the records and the sampling rate that the file states, if any."""
    import h5py
    import numpy as np

    from gminus2.errors import DataError, nearest

    if not file.exists():
        raise DataError("no such file", where=str(file))
    try:
        if file.suffix == ".npy":
            records, stated = np.load(file, allow_pickle=False), None
        else:
            with h5py.File(file, "r") as stored:
                if dataset not in stored:
                    raise DataError(
                        f"no array '{dataset}' in the file", where=str(file), hint=nearest(dataset, stored.keys())
                    )
                node = stored[dataset]
                records = np.asarray(node[()])
                attribute = node.attrs.get("fs_hz", stored.attrs.get("fs_hz"))
                stated = None if attribute is None else float(attribute)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"cannot read the FIDs ({error})", where=str(file), expected=".npy or HDF5") from None
    if records.ndim != 2 or records.dtype.kind not in "iuf" or not len(records):
        raise DataError(
            "FIDs must be a table of numbers",
            where=str(file),
            expected="(n_fid, n_sample)",
            found=f"{records.shape} {records.dtype}",
        )
    return records, stated


def _check(
    file: Path, records: NDArray[np.generic], record: RecordFormat, stated_fs: float | None, any_length: bool
) -> None:
    from gminus2.errors import DataError

    if stated_fs is not None and abs(stated_fs / record.fs_hz - 1) > 1e-9:
        raise DataError(
            "the file was sampled at another rate",
            where=str(file),
            expected=f"{record.fs_hz:.3f} Hz (format '{record.name}')",
            found=f"{stated_fs:.3f} Hz",
            hint="choose the right --probe, or state --fs-hz",
        )
    if records.shape[1] != record.n_samples and not any_length:
        raise DataError(
            "the records do not have the length of their format: wrong probe or sampling rate?",
            where=str(file),
            expected=f"{record.n_samples} samples (format '{record.name}')",
            found=f"{records.shape[1]}",
            hint="choose the right --probe, or pass --any-length with --fs-hz and --pulse-sample",
        )


def _check_band(file: Path, records: NDArray[np.generic], record: RecordFormat) -> None:
    """Refuse a file whose signals are not near 50 kHz: almost surely the sampling rate is wrong."""
    import numpy as np

    from gminus2.errors import DataError

    signal = np.nan_to_num(np.asarray(records, dtype=np.float64)[:, int(record.pulse_sample) + 20 :])
    power = np.abs(np.fft.rfft(signal - signal.mean(axis=1, keepdims=True), axis=1)) ** 2
    axis = np.fft.rfftfreq(signal.shape[1], 1 / record.fs_hz)
    power[:, axis < 5e3] = 0.0
    strong = power.max(axis=1) > 100 * np.median(power, axis=1)
    peak = float(np.median(axis[power.argmax(axis=1)][strong])) if strong.any() else 51e3
    if abs(peak - 51e3) > 8e3:
        raise DataError(
            "the signals are not where they should be: is the sampling rate right?",
            where=str(file),
            expected="43 … 59 kHz after mixing with 61.74 MHz",
            found=f"{peak:.0f} Hz at fs = {record.fs_hz:g} Hz",
        )
