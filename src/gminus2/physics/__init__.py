"""Pure formulas that the simulation and the analysis share. No state, no files, no random numbers."""
