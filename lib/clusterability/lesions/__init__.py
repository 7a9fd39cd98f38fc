"""Silencing clusters: what a network loses, and what that says (P, section 5)."""
