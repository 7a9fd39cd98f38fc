"""A figure's runs: the grid, the rows they give, where these are kept, and computing what is missing."""
