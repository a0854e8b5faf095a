"""A measurement as steps: campaigns, a content-addressed store, provenance of every number.

``campaign`` (the TOML schema) → ``stages`` (what the steps do) → ``steps`` and ``store`` (what is redone and kept) →
``measure`` (the result) → ``trace`` and ``compare`` (where a number came from, what changed).
"""
