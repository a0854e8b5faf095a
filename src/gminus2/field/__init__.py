"""The magnetic field: from free induction decays and probe readings to ω̃'_p, B_k and B_q with a budget.

Where to start: :func:`gminus2.field.frequency.frequency` for FIDs, :func:`gminus2.field.campaign.analyse_campaign` for
datasets (:class:`gminus2.data.nmr.FieldData`), :class:`gminus2.field.result.FieldResult` for what comes out. The steps
between are one module each: ``trolley``, ``gridding``, ``footprint``, ``stations``, ``tracking``, ``weighting``,
``calibration``, ``transients``. Formulas and sources: ``docs/physics/field.md``.
"""
