"""Weight graphs of networks: layered ones of perceptrons, and those of traced models (C, section 2.1)."""
