"""Pseudo-histograms: input that the package makes for itself, so that every command can be tried without data."""
