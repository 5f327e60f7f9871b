"""How often is a decision wrong? The functions that decide, on cases whose truth is known, counted.

``gate``: promotions (``docs/gate-calibration.md``). ``drift``: alarms (``docs/drift-calibration.md``).
"""
