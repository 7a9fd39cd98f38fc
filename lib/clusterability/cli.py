"""The command line: ``clusterability list``, ``run``, ``measure`` and ``lesion``."""

from __future__ import annotations

import json
import sys
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


@main.command("list")
def list_figures() -> None:
    """List the figures: name, paper, title."""
    from clusterability import notebooks

    known = notebooks.figures()
    if not known:
        raise InputError("there is no book here: run this in a checkout of the Clusterability Companion")
    width = max(map(len, known))
    for notebook in known.values():
        click.echo(f"{notebook.name:{width}}  {notebook.paper}  {notebook.title}")


@main.command()
@click.argument("figures", nargs=-1, metavar="[FIGURE]...")
@click.option("--all", "everything", is_flag=True, help="Run every figure, then the front page.")
@click.option(
    "-p",
    "--parameter",
    "parameters",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="Set a parameter; see the notebook's parameters cell. Lists: a,b or JSON.",
)
@click.option(
    "--preset", metavar="NAME", help="The same as -p preset NAME: paper, small (where there is one) or quick."
)
@click.option("--output", type=click.Path(path_type=Path, file_okay=False),
              help="Folder for the executed notebook and its figures [default: build/runs].")  # fmt: skip
def run(figures, everything, parameters, preset, output) -> None:
    """Execute figures as notebooks.

    Rows that are stored already are not computed again; a run that was stopped goes on where it
    stopped. The paths of the executed notebooks are printed.
    """
    from clusterability import notebooks
    from clusterability.base import files as paths

    if everything == bool(figures):
        raise InputError("name the figures to run, or give --all (see: clusterability list)")
    chosen = notebooks.pages() if everything else [notebooks.find(name) for name in figures]
    given = dict(parameters)
    if preset is not None:
        given["preset"] = preset
    if everything:  # the front page has fewer parameters than the figures
        known = set().union(*(notebook.parameters for notebook in chosen))
        unknown = sorted(set(given) - known)
        if unknown:
            raise InputError(f"no figure has a parameter {unknown[0]!r}")
        chosen_values = [{n: given[n] for n in notebook.parameters if n in given} for notebook in chosen]
    else:
        chosen_values = [given] * len(chosen)
    jobs = [
        (notebook, notebooks.check_values(notebook, values))
        for notebook, values in zip(chosen, chosen_values, strict=True)
    ]
    folder = (output or paths.project_root() / "build" / "runs").resolve()
    for notebook, values in jobs:
        click.echo(notebooks.execute(notebook, values, folder))


@main.command()
@click.argument("network", metavar="NETWORK")
@click.option("--clusters", default=12, show_default=True, help="Number of clusters.")
@click.option("--shuffles", default=50, show_default=True, help="Random networks to compare with.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0))
@click.option(
    "--null",
    "null_model",
    default="layer",
    show_default=True,
    help="What is shuffled: all weights of a layer (layer) or its nonzero ones (nonzero).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--architecture", metavar="NAME", help="torchvision's classifier whose state_dict the file NETWORK is.")
@click.option("--input-shape", metavar="C,H,W", help="Of one example [default: 3,224,224 for torchvision's].")
@click.option("--part", metavar="NAME", help="convolutional, dense or all [default: convolutional, if any].")
@click.option(
    "--input-layer/--no-input-layer",
    default=None,
    help="Whether what the part reads from outside is in the graph [default: without convolutions].",
)
@click.option("--norm", metavar="NAME", help="Of kernels: induced, entrywise or frobenius [default: induced].")
@click.option("--fold/--no-fold", default=None,
              help="Whether batch normalization scales weights [default: fold].")  # fmt: skip
def measure(network, clusters, shuffles, seed, null_model, as_json, **options) -> None:
    """Measure how clusterable a network is.

    NETWORK: an MLP's file, that is an .npz of 2-D arrays layer0, layer1, … each (out, in), a .safetensors
    file, or a torch state_dict (.pt, .pth, .bin); or a model: torchvision:NAME[:WEIGHTS], where WEIGHTS
    may be random; module.path:factory, for a model of your own; or a file with --architecture.
    """
    from clusterability.base.threads import available_cores
    from clusterability.clustering.measure import Measurement
    from clusterability.clustering.measure import measure as measured

    if shuffles < 1:
        raise InputError(f"{shuffles} shuffles asked for: at least 1 is needed")
    measurement = Measurement(clusters, shuffles, null_model)
    weights, structure = _network(network, seed, **options)
    with click.progressbar(length=shuffles + 1, label="clusterings", file=sys.stderr) as bar:
        result = measured(weights, measurement, seed, workers=available_cores(), progress=lambda: bar.update(1))
    report = {
        "ncut": result.ncut,
        "shuffled_mean": float(result.shuffled_ncuts.mean()),
        "shuffled_sd": float(result.shuffled_ncuts.std()),
        "z": None if result.z != result.z else result.z,
        "p": result.p,
        "effective_clusters": result.effective_clusters,
        "negligible_clusters": result.negligible_clusters,
        "in_out_ratio": None if result.in_out_ratio == float("inf") else result.in_out_ratio,
        "vertices": result.n_vertices,
        **structure,
        "labels": [layer.tolist() for layer in result.labels],
    }
    if as_json:
        click.echo(json.dumps(report))
        return
    sizes = ", ".join(str(sum(layer.count(c) for layer in report["labels"])) for c in range(clusters))
    z = "undefined (the shuffles do not vary)" if report["z"] is None else f"{report['z']:.2f}"
    ratio = "infinite" if report["in_out_ratio"] is None else f"{report['in_out_ratio']:.4f}"
    click.echo(f"n-cut          {report['ncut']:.4f}  ({clusters} clusters, {report['vertices']} vertices)")
    click.echo(f"shuffled       {report['shuffled_mean']:.4f} ± {report['shuffled_sd']:.4f}  ({shuffles} shuffles)")
    click.echo(f"z              {z}")
    click.echo(f"p              {report['p']:.4f}")
    click.echo(f"in/out ratio   {ratio}")
    click.echo(f"cluster sizes  {sizes}  (by volume: {result.effective_clusters:.1f} effective clusters)")
    if result.negligible_clusters:
        dead = f"clusters of next to no volume: {result.negligible_clusters}"
        click.echo(f"beware         {dead} (dead neurons; the n-cut says little about the others)")


def _network(network, seed, *, architecture, input_shape, part, input_layer, norm, fold):
    """What ``measure`` measures, and what its report says of a model's structure."""
    from clusterability.graphs.channels import channel_graph, check_part
    from clusterability.graphs.kernels import check_norm
    from clusterability.graphs.tracing import trace
    from clusterability.networks import torchvision as models
    from clusterability.networks.files import read_matrices

    named = models.is_name(network) and not Path(network).exists()
    if named and architecture:
        raise InputError(f"--architecture is for a file, but {network} names a model already")
    if not named and not architecture:
        given = {"input-shape": input_shape, "part": part, "input-layer": input_layer, "norm": norm, "fold": fold}
        for option, value in given.items():
            if value is not None:
                raise InputError(f"--{option} is for models, but {network} is taken for an MLP's file")
        return read_matrices(Path(network)), {}
    check_part(part)
    check_norm(norm or "induced")
    shape = None if input_shape is None else models.parse_shape(input_shape)
    model = models.by_name(network, seed) if named else models.torchvision_model_from(Path(network), architecture)
    shape = shape or (models.IMAGE if architecture or network.startswith(models.PREFIX) else models.width(model))
    layers = trace(model, shape, fold_normalization=fold is not False)
    graph = channel_graph(layers, part=part, input_layer=input_layer, norm=norm or "induced")
    return graph, {"edges": graph.n_edges, "layers": list(graph.layer_names)}


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
    from clusterability.base.threads import available_cores
    from clusterability.clustering.measure import Measurement
    from clusterability.clustering.measure import measure as measured
    from clusterability.data import load as datasets
    from clusterability.data.catalogue import entry
    from clusterability.lesions import importance
    from clusterability.lesions.lesion import single_lesions
    from clusterability.lesions.network import LesionedNetwork, check_fits, sub_modules
    from clusterability.networks.files import read_network

    if shuffles < 1:
        raise InputError(f"{shuffles} shuffles asked for: at least 1 is needed")
    measurement = Measurement(clusters, n_shuffles=0)
    weights, biases = read_network(file)
    known = entry(dataset)
    check_fits(weights, *known.dimensions)
    data = datasets.load(dataset)
    if data.regression:
        raise InputError(f"{dataset} is a regression: lesions are scored by accuracy, on classes")
    labels = measured(weights, measurement, seed).labels
    network = LesionedNetwork(weights, biases, *data.flat("test"))
    modules = sub_modules(labels)
    with click.progressbar(length=len(modules), label="lesions", file=sys.stderr) as bar:
        made = single_lesions(
            network, modules, shuffles, seed, workers=available_cores(), progress=lambda _: bar.update(1)
        )
    columns = ["layer", "cluster", "n_neurons", "share", "accuracy", "drop", "z", "released_p", "q", "kind"]
    rows = importance.classified(importance.rows_of(made))[columns].rename(columns={"released_p": "p"})
    lines = [row | {"z": None if row["z"] != row["z"] else row["z"]} for row in rows.to_dict("records")]
    if as_json:
        click.echo(json.dumps({"test_accuracy": made[0].before, "sub_modules": lines}))
        return
    click.echo(
        f"test accuracy  {made[0].before:.4f}  ({known.title}; {clusters} clusters, {shuffles} random lesions)"
    )
    click.echo("layer  cluster  neurons  of layer   accuracy      drop         z        p  kind")
    for line in lines:
        z = "–" if line["z"] is None else f"{line['z']:.1f}"
        click.echo(
            f"{line['layer']:5}  {line['cluster']:7}  {line['n_neurons']:7}  {line['share']:8.0%}   "
            f"{line['accuracy']:8.4f}  {line['drop']:8.4f}  {z:>8}  {line['p']:7.4f}  {line['kind']}"
        )
