"""The papers' published values, and ours beside them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from clusterability.base import files as paths

PLACE = ["dataset", "condition", "pruned"]
_NULL_MODELS = {"all weights of a layer": "layer", "nonzero weights of a layer": "nonzero"}


def load(experiment: str, architecture: str | Sequence[str], null_model: str | None = None) -> pd.DataFrame:
    """Published summaries of one experiment on one architecture, or on several.

    Parameters
    ----------
    null_model : {"layer", "nonzero"}, optional
        Only the rows that were compared with these shuffles; by default all.

    Returns
    -------
    DataFrame
        A row a data set, condition and pruning state; columns as in ``data/published.csv``: means and
        standard deviations over ``n_networks`` networks, and the ``source``.
    """
    table = pd.read_csv(paths.data_folder() / "published.csv")
    architectures = [architecture] if isinstance(architecture, str) else architecture
    chosen = (table["experiment"] == experiment) & table["architecture"].isin(architectures)
    table = table[chosen].replace({"null_model": _NULL_MODELS})
    if null_model is not None:
        table = table[table["null_model"] == null_model]
    return table.reset_index(drop=True)


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


def spreads(rows: pd.DataFrame, columns: list[str], by: str) -> pd.DataFrame:
    """As :func:`summarize`, for every value of another column; that value follows a column's name.

    >>> rows = pd.DataFrame({"dataset": "mnist", "condition": "Control", "pruned": True, "seed": [0, 1],
    ...                      "k": 4, "z": [-1.0, -3.0]})
    >>> spreads(rows, ["z"], by="k")[["z, 4_mean", "n"]].iloc[0].tolist()
    [-2.0, 2.0]
    """
    parts = [
        summarize(part, columns).drop(columns="n").rename(columns=lambda name, value=value: _at(name, value))
        for value, part in rows.groupby(by, sort=False)
    ]
    return pd.concat(parts, axis=1).assign(n=rows.groupby(PLACE, sort=False)["seed"].nunique())


def _at(name: str, value: object) -> str:
    stem, kind = name.rsplit("_", 1)
    return f"{stem}, {value}_{kind}"


def beside(rows: pd.DataFrame, published: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Our summaries with the published means and standard deviations beside them.

    Parameters
    ----------
    rows : DataFrame
        Result rows, see :data:`clusterability.experiments.store.NETWORKS`.
    published : DataFrame
        As :func:`load` gives it.
    columns : dict
        For each of our columns, the stem of the published one ("ncut" for ncut_mean and ncut_sd); ""
        for what nobody published.

    Returns
    -------
    DataFrame
        As :func:`summarize`, with ``published_NAME_mean``, ``published_NAME_sd`` (NaN where nothing
        was published) and ``published_n``. The standard deviation of ``shuffled_mean`` is that of one
        network's shuffles, their mean: it is what was published.
    """
    ours = summarize(rows, list(columns))
    if "shuffled_mean" in columns:
        ours["shuffled_mean_sd"] = rows.groupby(PLACE, sort=False)["shuffled_sd"].mean()
    theirs = published.set_index(PLACE)
    for column, stem in columns.items():
        if not stem:
            continue
        for part in ("mean", "sd"):
            values = theirs.get(f"{stem}_{part}", pd.Series(dtype=float))
            ours[f"published_{column}_{part}"] = values.reindex(ours.index)
    ours["published_n"] = theirs["n_networks"].reindex(ours.index)
    return ours
