import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from safetensors.torch import save_file
from torch import nn

from clusterability import report as figures
from clusterability.base.errors import InputError
from clusterability.base.torchvision import import_torchvision
from clusterability.clustering.measure import Measurement, measure
from clusterability.experiments import grid as experiments
from clusterability.experiments import run as running
from clusterability.graphs.channels import channel_graph
from clusterability.graphs.tracing import trace
from clusterability.networks import torchvision as models
from clusterability.networks.classifier import Classifier
from clusterability.papers import published
from clusterability.report import tables
from helpers import invoke, refused

pytestmark = pytest.mark.usefixtures("in_folder")
FEW = ("--clusters", 3, "--shuffles", 2)


def report(*arguments):
    result = invoke("measure", *arguments, *FEW, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def expected(model, shape, **options):
    graph = channel_graph(trace(model, shape), **options)
    return graph, measure(graph, Measurement(3, 2), seed=0)


def write_module(name, text):
    with open(f"{name}.py", "w") as file:
        file.write("from torch import nn\n" + text)


def test_an_untrained_architecture_of_torchvision():
    found = report("torchvision:resnet18:random")
    assert found["vertices"] == 4800
    assert found["layers"][:2] == ["conv1", "layer1.0.conv1"]
    assert [len(labels) for labels in found["labels"]][:2] == [64, 64]
    assert report("torchvision:resnet18:random") == found
    assert report("torchvision:resnet18:random", "--seed", 1)["ncut"] != found["ncut"]
    graph, _ = expected(models.by_name("torchvision:resnet18:random", 0), (3, 224, 224))
    assert found["edges"] == graph.n_edges


def test_random_weights_leave_the_global_generator_alone():
    torch.manual_seed(3)
    before = torch.rand(1)
    torch.manual_seed(3)
    models.by_name("torchvision:squeezenet1_1:random", 0)
    assert torch.rand(1) == before


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_state_dict_of_a_torchvision_architecture(suffix):
    model = import_torchvision().models.squeezenet1_1(num_classes=7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1, generator=torch.Generator().manual_seed(parameter.numel()))
    save = {"pt": torch.save, "safetensors": save_file}[suffix]
    save(model.state_dict(), f"weights.{suffix}")
    found = report(f"weights.{suffix}", "--architecture", "squeezenet1_1")
    _, result = expected(model, (3, 224, 224))
    assert found["ncut"] == result.ncut
    assert found["shuffled_mean"] == result.shuffled_ncuts.mean()


def test_a_factory_and_a_model_of_one_s_own():
    layers = "nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 6, 3))"
    write_module("own_models_1", f"def make():\n    return {layers}\n\nnet = make()\n")
    found = report("own_models_1:make", "--input-shape", "1,9,9", "--input-layer")
    assert found["vertices"] == 15
    assert found["edges"] == 8 + 48
    assert report("own_models_1:net", "--input-shape", "1,9,9")["vertices"] == 14


@pytest.mark.parametrize(
    ("name", "options"), [("googlenet", {"aux_logits": False, "init_weights": False}), ("regnet_x_400mf", {})]
)
def test_state_dicts_of_architectures_that_are_made_otherwise(name, options):
    made = import_torchvision().models.get_model(name, weights=None, **options)
    torch.save(made.state_dict(), "kept.pt")
    read = models.torchvision_model_from(Path("kept.pt"), name)
    assert all(torch.equal(a, b) for a, b in zip(read.state_dict().values(), made.state_dict().values(), strict=True))


def test_options_choose_the_part_the_norm_and_folding():
    write_module(
        "own_models_2",
        "net = nn.Sequential(nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 3), nn.Flatten(),"
        " nn.Linear(6, 9), nn.Linear(9, 5))\n"
        "nn.init.uniform_(net[1].weight)\n",
    )
    source = ("own_models_2:net", "--input-shape", "2,5,5")
    assert report(*source)["layers"] == ["0", "2"]
    assert report(*source, "--part", "dense")["layers"] == ["4", "5"]
    assert report(*source, "--part", "dense", "--input-layer")["layers"] == ["2", "4", "5"]
    assert report(*source, "--part", "all")["layers"] == ["0", "2", "4", "5"]
    whole = report(*source, "--input-layer")
    assert whole["layers"] == ["input", "0", "2"]
    for change in (("--norm", "frobenius"), ("--no-fold",)):
        assert report(*source, "--input-layer", *change)["ncut"] != whole["ncut"]


def test_an_mlp_of_one_s_own_is_measured_as_its_file_is():
    write_module("own_models_3", "net = nn.Sequential(nn.Linear(9, 12), nn.ReLU(), nn.Linear(12, 4))\n")
    found = report("own_models_3:net")
    model = models.by_name("own_models_3:net", 0)
    np.savez("net.npz", layer0=model[0].weight.detach().numpy(), layer1=model[2].weight.detach().numpy())
    stored = report("net.npz")
    assert found["vertices"] == stored["vertices"] == 25
    assert found["ncut"] == pytest.approx(stored["ncut"])
    assert found["layers"] == ["input", "0", "2"]


def test_wrong_names_give_one_clear_sentence():
    cases = [
        (["torchvision:resnet81:random"], ["'resnet81'", "resnet18"]),
        (["torchvision:resnet18:imagenet"], ["'imagenet'", "IMAGENET1K_V1", "random"]),
        (["torchvision:"], ["torchvision has no classifier called ''"]),
        (["torchvision:efficientnet_b0:random"], ["features.1.0.block.1", "'mul'"]),
        (["no_such_module:make"], ["no_such_module:make", "No module named"]),
        (["json:no_such_thing"], ["json:no_such_thing", "no attribute"]),
        (["json:dumps"], ["json:dumps", "missing"]),
        (["sys:exit"], ["sys:exit", "SystemExit"]),
        (["builtins:dict"], ["builtins:dict", "dict", "torch.nn.Module"]),
        (["torch.nn:Identity"], ["Identity needs the shape", "--input-shape"]),
        (["torch.nn:Identity", "--input-shape", "3,x"], ["'3,x'"]),
        (["torch.nn:Identity", "--input-shape", "3"], ["Identity has no linear"]),
        (["torchvision:resnet18:random", "--part", "head"], ["'head'"]),
        (["torchvision:resnet18:random", "--norm", "l1"], ["'l1'"]),
        (["torchvision:resnet18:random", "--architecture", "resnet18"], ["--architecture", "names a model already"]),
        (["net.npz", "--part", "all"], ["--part", "MLP's file"]),
        (["net.pt", "--architecture", "resnet18"], ["net.pt is not a file"]),
        (["other.pt", "--architecture", "resnet18"], ["other.pt is no state_dict of resnet18", "Missing key"]),
        (["other.npz", "--architecture", "resnet18"], ["'.npz'"]),
        (["other.pt", "--architecture", "resnet"], ["'resnet'"]),
    ]
    for arguments, words in cases:
        torch.save(nn.Linear(3, 2).state_dict(), "other.pt")
        np.savez("other.npz", layer0=np.ones((2, 3)))
        assert refused(invoke("measure", *arguments, *FEW), *words)


def test_weights_that_cannot_be_downloaded_are_named(monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    result = invoke("measure", "torchvision:resnet18:IMAGENET1K_V1", *FEW)
    assert refused(result, "IMAGENET1K_V1", "no route to host", "torchvision:resnet18:random")


def test_classifiers_are_measured_as_the_command_line_measures_them(project, monkeypatch):
    conditions = {"Untrained": {"weights": "random"}}
    runs = experiments.classifier_grid(["squeezenet1_1"], conditions, measurement=Measurement(3, 2), seed=4)
    monkeypatch.setenv("CLUSTERABILITY_STORE", "paper")
    rows = running.run("figure", runs)
    found = report("torchvision:squeezenet1_1:random", "--seed", 4)
    assert rows["ncut"].iloc[0] == pytest.approx(found["ncut"])
    assert rows["vertices"].iloc[0] == found["vertices"]
    assert rows["architecture"].iloc[0] == "torchvision squeezenet1_1"
    assert (project / "data" / "results" / "figure.csv").is_file()
    monkeypatch.setenv("CLUSTERABILITY_STORE", "none")
    assert running.run("figure", runs)["ncut"].equals(rows["ncut"])


def test_the_structure_of_a_classifier_needs_no_weights():
    structure = Classifier("squeezenet1_1").structure()
    graph = Classifier("squeezenet1_1").graph(fold=True)
    assert (structure.layer_names, structure.layer_sizes) == (graph.layer_names, graph.layer_sizes)
    assert structure.n_edges == graph.n_edges


def test_wrong_classifiers_are_refused():
    cases = [({"classifiers": ["resnet"]}, "'resnet'"), ({"classifiers": []}, "nothing to run"),
     ({"conditions": {"Best": {"weights": "best"}}}, "'best'"), ({"conditions": {}}, "nothing to run")]  # fmt: skip
    for changes, words in cases:
        known = {"classifiers": ["resnet18"], "conditions": {"Untrained": {"weights": "random"}}}
        with pytest.raises(InputError, match=words):
            experiments.classifier_grid(**{**known, **changes}, measurement=Measurement(3, 2), seed=0)


def test_weights_that_make_weights_fetches_are_read_or_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CLUSTERABILITY_LOCAL", str(tmp_path))
    with pytest.raises(InputError, match=r"'edges' of vgg16.*make weights"):
        models.by_name("torchvision:vgg16:edges", seed=0)
    bare = models.layout("vgg16").features
    rng = np.random.default_rng(0)
    arrays = {f"features.{name}": rng.normal(size=tuple(parameter.shape)).astype(np.float32)
              for name, parameter in bare.named_parameters()}  # fmt: skip
    (tmp_path / "weights").mkdir()
    np.savez(tmp_path / "weights" / "vgg16-edges.npz", **arrays)
    model = models.by_name("torchvision:vgg16:edges", seed=0)
    for name, array in arrays.items():
        np.testing.assert_array_equal(model.get_parameter(name).detach().numpy(), array)
    assert not model.classifier[0].weight.any()


def test_every_classifier_and_every_shuffle_is_drawn():
    theirs = published.load("imagenet", ["VGG-16", "ResNet-18"]).assign(network=lambda table: table["architecture"])
    assert list(theirs["network"]) == ["VGG-16", "ResNet-18"]
    rows = theirs.rename(columns={"ncut_mean": "ncut", "z_mean": "z", "p_mean": "p"}).assign(
        condition="Untrained",
        n_shuffles=3,
        shuffled_mean=8.5,
        shuffled_sd=0.25,
        shuffled_ncuts=[np.array([8.25, 8.5, 8.75])] * 2,
    )
    figure = figures.beside_shuffles(rows, theirs.iloc[:1], by="network")
    scatters = [c for c in figure.axes[0].collections if isinstance(c, PathCollection)]
    drawn = [scatter.get_offsets() for scatter in scatters]
    assert sum(len(offsets) == 3 for offsets in drawn) == 2
    single = [float(offsets[0, 0]) for offsets in drawn if len(offsets) == 1]
    assert sorted(single) == sorted([*rows["ncut"], theirs["ncut_mean"].iloc[0]])
    shown = tables.classifiers(rows, theirs.iloc[:1], ["Untrained", "Pretrained"], by="network").data
    assert "<td>pretrained, here</td>" not in shown  # there is no such row
    assert shown.count("untrained, here") == 2
    assert shown.count("pretrained, published") == 1
    assert "8.500" in shown
