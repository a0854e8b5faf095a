"""How it is fitted: binding to data, start values, minimisation, results, and the checks on a fit."""
