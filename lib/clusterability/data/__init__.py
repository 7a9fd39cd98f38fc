"""Data sets by name: read from disk, downloaded, bundled, or constructed from others (C, appendix; P, section 4)."""
