"""Training and pruning: the recipe, the loop, and the learners of every architecture (C, section 3.1)."""
