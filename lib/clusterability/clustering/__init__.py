"""Spectral clustering, its n-cut, and the comparison with a null model (C, sections 2.2 and 3)."""
