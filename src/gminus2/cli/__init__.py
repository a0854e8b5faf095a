"""The ``gminus2`` command: one entry point, one module per verb, imports inside the verb."""
