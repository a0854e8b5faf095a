"""gminus2: an open, end-to-end measurement of the muon's anomalous magnetic moment.

The folders follow the measurement from left to right: ``ring`` → ``detectors`` → ``simulation`` → ``data`` →
``reconstruction`` → ``precession``, ``beam``, ``field`` → ``measurement`` → ``theory``, ``edm``. A module imports
only from rooms to its left and from the common ground (``constants``, ``units``, ``errors``, ``random``,
``execution``, ``config``, ``physics``).
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
