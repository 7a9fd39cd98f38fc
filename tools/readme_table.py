"""The README's table, from the stored rows: ``python tools/readme_table.py`` prints it."""

from pathlib import Path

import pandas as pd

DATA = Path(__file__).resolve().parents[1] / "data"
TABLES = ("mlp-regularization-pruned", "mlp-clusterable-init")
CONDITIONS = {
    "Control": "no regularization",
    "Dropout": "dropout",
    "L1 Reg": "L1 regularization",
    "L2 Reg": "L2 regularization",
    "Clusterable Init": "clusterable initialization",
}
HEADINGS = (
    "Pruned MLPs on MNIST",
    "n-cut",
    "published",
    "z-score",
    "published",
    "n, ours and theirs",
    "device",
    "time each",
)


def chosen(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of pruned networks on MNIST."""
    return rows[(rows["dataset"] == "mnist") & rows["pruned"]]


def minus(text: str) -> str:
    return text.replace("-", "−")


def main() -> str:
    ours = pd.concat(pd.read_csv(DATA / "results" / f"{table}.csv") for table in TABLES)
    ours = chosen(ours.drop_duplicates("key")).groupby("condition")
    theirs = pd.read_csv(DATA / "published.csv")
    theirs = chosen(theirs[(theirs["experiment"] == "factors") & theirs["architecture"].eq("mlp 784-256x4-10")])
    lines = [HEADINGS, ["---"] * len(HEADINGS)]
    for condition, name in CONDITIONS.items():
        rows, published = ours.get_group(condition), theirs.set_index("condition").loc[condition]
        (device,) = rows["device"].unique()
        lines.append(
            [
                name,
                f"**{rows['ncut'].mean():.2f}** ± {rows['ncut'].std():.2f}",
                f"{published['ncut_mean']:.2f} ± {published['ncut_sd']:.2f}",
                minus(f"{rows['z'].mean():.1f} ± {rows['z'].std():.1f}"),
                minus(f"{published['z_mean']:.1f} ± {published['z_sd']:.1f}"),
                f"{len(rows)} and {published['n_networks']}",
                device,
                f"{rows['seconds'].median():.0f} s",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(main())
