"""Figures and reports. Computation stays in the other rooms; here results become something to look at."""

from gminus2.report.plotting import COLOURS, new_figure, save_figure

__all__ = ["COLOURS", "new_figure", "save_figure"]
