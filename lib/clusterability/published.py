"""The papers' published values, and ours beside them."""

from __future__ import annotations

import pandas as pd

from clusterability import paths

PLACE = ["dataset", "condition", "pruned"]


def load(experiment: str, architecture: str) -> pd.DataFrame:
    """Published summaries of one experiment on one architecture.

    Returns
    -------
    DataFrame
        A row a data set, condition and pruning state; columns as in ``data/published.csv``: means and
        standard deviations over ``n_networks`` networks, and the ``source``.
    """
    table = pd.read_csv(paths.data_folder() / "published.csv")
    chosen = (table["experiment"] == experiment) & (table["architecture"] == architecture)
    return table[chosen].reset_index(drop=True)


def summarize(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Mean, sample standard deviation and number of networks of every data set and condition.

    Returns
    -------
    DataFrame
        Indexed by dataset, condition and pruned, in the order of ``rows``; columns ``NAME_mean`` and
        ``NAME_sd`` for every name in ``columns``, and ``n``.
    """
    groups = rows.groupby(PLACE, sort=False)
    parts = {"n": groups.size()}
    for column in columns:
        parts[f"{column}_mean"], parts[f"{column}_sd"] = groups[column].mean(), groups[column].std()
    return pd.DataFrame(parts)


def beside(rows: pd.DataFrame, published: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Our summaries with the published means and standard deviations beside them.

    Parameters
    ----------
    rows : DataFrame
        Result rows, see :data:`clusterability.results.COLUMNS`.
    published : DataFrame
        As :func:`load` gives it.
    columns : dict
        For each of our columns, the stem of the published one ("ncut" for ncut_mean and ncut_sd); ""
        for what nobody published.

    Returns
    -------
    DataFrame
        As :func:`summarize`, with ``published_NAME_mean``, ``published_NAME_sd`` (NaN where nothing
        was published) and ``published_n``.
    """
    ours = summarize(rows, list(columns))
    theirs = published.set_index(PLACE)
    for column, stem in columns.items():
        if not stem:
            continue
        for part in ("mean", "sd"):
            values = theirs.get(f"{stem}_{part}", pd.Series(dtype=float))
            ours[f"published_{column}_{part}"] = values.reindex(ours.index)
    ours["published_n"] = theirs["n_networks"].reindex(ours.index)
    return ours
