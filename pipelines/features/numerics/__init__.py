"""Arithmetic on arrays that feature groups share: windows, recursions, spectra, sparse codes, compiled loops. Knows
neither bars nor tables; the law that a value depends on its look-back alone, bit for bit, is kept here."""
