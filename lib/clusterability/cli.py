"""The command line: ``clusterability list``, ``run``, ``measure`` and ``lesion``."""

import json
import math
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from clusterability import __version__
from clusterability.base.errors import InputError


class _Commands(click.Group):
    """Prints an InputError as one sentence and exits with status 2."""

    def invoke(self, context: click.Context):
        try:
            return super().invoke(context)
        except InputError as failure:
            click.echo(f"Error: {failure}", err=True)
            context.exit(2)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="clusterability")
def main() -> None:
    """Do neural networks fall into clusters? Re-execute the book's figures, or measure a network."""


def _notebooks():
    """The module of the book's notebooks; what it needs does not come with the library alone."""
    try:
        from clusterability import notebooks
    except ModuleNotFoundError as failure:
        raise InputError(
            f"the book's notebooks need the package {failure.name}: pip install 'clusterability[book]'"
        ) from failure
    return notebooks


@main.command("list")
def list_figures() -> None:
    """List the figures: name, paper, title."""
    known = _notebooks().figures()
    if not known:
        raise InputError("there is no book here: run this in a checkout of the Clusterability Companion")
    width = max(map(len, known))
    for notebook in known.values():
        click.echo(f"{notebook.name:{width}}  {notebook.paper}  {notebook.title}")


@main.command()
@click.argument("figures", nargs=-1, metavar="[FIGURE]...")
@click.option("--all", "everything", is_flag=True, help="Run every figure, then the front page.")
@click.option("-p", "--parameter", "parameters", nargs=2, multiple=True, metavar="NAME VALUE",
              help="Set a parameter; see the notebook's parameters cell. Lists: a,b or JSON.")  # fmt: skip
@click.option("--preset", default="", metavar="NAME", help="Parameters of book/presets.toml: quick, or paper where a "
              "page shows a smaller size; with --all, pages without that preset run as they are.")  # fmt: skip
@click.option("--stored", is_flag=True, help="Read stored rows only: a row that is missing is named, not computed.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(min=1), help="Figures to run at a time.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False),
              help="Folder for the executed notebook and its figures [default: build/runs].")  # fmt: skip
def run(figures, everything, parameters, preset, stored, jobs, output) -> None:
    """Execute figures as notebooks.

    Rows that are stored already are not computed again; a run that was stopped goes on where it
    stopped. The paths of the executed notebooks are printed.
    """
    from clusterability.base import files
    from clusterability.experiments.grid import presets

    notebooks = _notebooks()
    if everything == bool(figures):
        raise InputError("name the figures to run, or give --all (see: clusterability list)")
    chosen = notebooks.pages() if everything else [notebooks.find(name) for name in figures]
    given = dict(parameters)
    unknown = sorted(set(given) - set().union(*(notebook.parameters for notebook in chosen)))
    if everything and unknown:
        raise InputError(f"no figure has a parameter {unknown[0]!r}")
    if everything and preset and not any(preset in presets(notebook.name) for notebook in chosen):
        raise InputError(f"no figure has a preset {preset!r}")
    work = []
    for notebook in chosen:
        own = {name: text for name, text in given.items() if name in notebook.parameters or not everything}
        its_preset = preset if not everything or preset in presets(notebook.name) else ""
        note = "A small run on bundled data, not at the papers' scale." if its_preset == "quick" else ""
        work.append((notebook, notebooks.values_of(notebook, own, its_preset), note))
    if stored:
        os.environ["CLUSTERABILITY_STORE"] = "none"
    folder = (output or files.project_root() / "build" / "runs").resolve()
    for path in notebooks.execute_all(work, folder, jobs):
        click.echo(path)


@main.command()
@click.argument("paths", nargs=-1, metavar="NOTEBOOK...", type=click.Path(True, dir_okay=False, path_type=Path))
def normalize(paths) -> None:
    """Drop from notebooks what differs between two runs of the same numbers."""
    for path in paths:
        _notebooks().normalize(path)


@main.command()
@click.argument("name", metavar="NAME")
@click.option("--title", default="A new page", show_default=True, help="Its heading.")
def new(name, title) -> None:
    """Write book/NAME.ipynb, a page to fill in."""
    click.echo(_notebooks().new(name, title))


def _or_none(value: float) -> float | None:
    """What JSON can hold."""
    return value if math.isfinite(value) else None


@main.command()
@click.argument("network", metavar="NETWORK")
@click.option("--clusters", default=12, show_default=True, help="Number of clusters.")
@click.option("--shuffles", default=50, show_default=True, help="Random networks to compare with.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option("--null", "null_model", default="layer", show_default=True,
              help="What is shuffled: all weights of a layer (layer); its nonzero ones (nonzero), also so that every "
              "neuron's strengths stay (strengths) or its numbers of weights (swapped); the nonzero weights of every "
              "neuron's inputs (incoming) or outputs (outgoing).")  # fmt: skip
@click.option("--gauge", metavar="NAME", help="Rescale an MLP's ReLU neurons, which leaves its function as it is: "
              "balanced, balanced-l1 or incoming.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--architecture", metavar="NAME", help="torchvision's classifier whose state_dict the file NETWORK is.")
@click.option("--input-shape", metavar="C,H,W", help="Of one example [default: 3,224,224 for torchvision's].")
@click.option("--part", metavar="NAME", help="convolutional, dense or all [default: convolutional, if any].")
@click.option("--input-layer/--no-input-layer", default=None, help="Whether what the part reads from outside is in "
              "the graph [default: without convolutions].")  # fmt: skip
@click.option("--norm", metavar="NAME", help="Of kernels: induced, entrywise or frobenius [default: induced].")
@click.option("--fold/--no-fold", default=None,
              help="Whether batch normalization scales weights [default: fold].")  # fmt: skip
def measure(network, clusters, shuffles, seed, null_model, as_json, **options) -> None:
    """Measure how clusterable a network is.

    NETWORK: an MLP's file, that is an .npz of 2-D arrays layer0, layer1, … each (out, in), a .safetensors
    file, or a torch state_dict (.pt, .pth, .bin); or a model: torchvision:NAME[:WEIGHTS], where WEIGHTS
    may be random; module.path:factory, for a model of your own; or a file with --architecture.
    """
    from clusterability import your_network

    if shuffles < 1:
        raise InputError(f"{shuffles} shuffles asked for: at least 1 is needed")
    graph = your_network.graph(network, seed=seed, **options)
    with click.progressbar(length=shuffles + 1, label="clusterings", file=sys.stderr) as bar:
        result = your_network.measure(
            graph, clusters, shuffles, seed, null_model=null_model, progress=lambda: bar.update(1)
        )
    structure = {"edges": graph.n_edges, "layers": list(graph.layer_names)} if hasattr(graph, "layer_names") else {}
    report = {
        "ncut": result.ncut,
        "shuffled_mean": float(result.shuffled_ncuts.mean()),
        "shuffled_sd": float(result.shuffled_ncuts.std()),
        "z": _or_none(result.z),
        "p": result.p,
        "effective_clusters": result.effective_clusters,
        "negligible_clusters": result.negligible_clusters,
        "in_out_ratio": _or_none(result.in_out_ratio),
        "vertices": result.n_vertices,
        **structure,
        "labels": [layer.tolist() for layer in result.labels],
    }
    if as_json:
        click.echo(json.dumps(report))
        return
    sizes = ", ".join(str(sum(layer.count(c) for layer in report["labels"])) for c in range(clusters))
    lines = {
        "n-cut": f"{result.ncut:.4f}  ({clusters} clusters, {result.n_vertices} vertices)",
        "shuffled": f"{report['shuffled_mean']:.4f} ± {report['shuffled_sd']:.4f}  ({shuffles} shuffles)",
        "z": "undefined (the shuffles do not vary)" if report["z"] is None else f"{result.z:.2f}",
        "p": f"{result.p:.4f}",
        "in/out ratio": "infinite" if report["in_out_ratio"] is None else f"{result.in_out_ratio:.4f}",
        "cluster sizes": f"{sizes}  (by volume: {result.effective_clusters:.1f} effective clusters)",
    }
    if result.negligible_clusters:
        dead = f"clusters of next to no volume: {result.negligible_clusters}"
        lines["beware"] = f"{dead} (dead neurons, which leave fewer to the others)"
    for name, text in lines.items():
        click.echo(f"{name:13}  {text}")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dataset", required=True, metavar="NAME", help="On whose test examples the network is scored.")
@click.option("--clusters", default=10, show_default=True, help="Number of clusters.")
@click.option("--shuffles", default=100, show_default=True, help="Random lesions to compare each with.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def lesion(file, dataset, clusters, shuffles, seed, as_json) -> None:
    """Silence an MLP's clusters, layer by layer, and see what it loses.

    FILE: as for measure; biases are bias0, bias1, … in an .npz, NAME.bias beside NAME.weight elsewhere,
    and zero where the file has none. Hidden neurons are taken to be ReLU.
    """
    from clusterability import your_network
    from clusterability.data.catalogue import TITLES

    if shuffles < 1:
        raise InputError(f"{shuffles} shuffles asked for: at least 1 is needed")
    with ExitStack() as bars:

        def show(n_modules: int):
            bar = bars.enter_context(click.progressbar(length=n_modules, label="lesions", file=sys.stderr))
            return lambda: bar.update(1)

        rows = your_network.lesion(file, dataset, clusters, shuffles, seed, progress=show)
    before = float(rows["test_accuracy"].iloc[0])
    columns = ["layer", "cluster", "n_neurons", "share", "accuracy", "drop", "z", "released_p", "q", "kind"]
    lines = rows[columns].rename(columns={"released_p": "p"}).to_dict("records")
    lines = [line | {"z": _or_none(line["z"])} for line in lines]
    if as_json:
        click.echo(json.dumps({"test_accuracy": before, "sub_modules": lines}))
        return
    click.echo(f"test accuracy  {before:.4f}  ({TITLES[dataset]}; {clusters} clusters, {shuffles} random lesions)")
    click.echo("layer  cluster  neurons  of layer   accuracy      drop         z        p  kind")
    for line in lines:
        z = "–" if line["z"] is None else f"{line['z']:.1f}"
        click.echo(
            f"{line['layer']:5}  {line['cluster']:7}  {line['n_neurons']:7}  {line['share']:8.0%}   "
            f"{line['accuracy']:8.4f}  {line['drop']:8.4f}  {z:>8}  {line['p']:7.4f}  {line['kind']}"
        )
