"""What the papers say: published values, claims, and how ours agree with them."""
