"""The magnet in the hall: its field in space and time, feedback, probes, trolley runs, calibration and transients.

:func:`gminus2.simulation.magnet.dataset.simulate_field_dataset` makes what the analysis may see and, apart from it, the
sealed truth; :func:`gminus2.simulation.magnet.fid.simulate_fids` makes digitized free induction decays.
"""
