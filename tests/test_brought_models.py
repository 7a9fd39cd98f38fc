"""Models written in the many ways that users write them: traced as they run, or refused in one sentence."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune

from clusterability.base.errors import InputError
from clusterability.clustering.measure import Measurement, measure
from clusterability.graphs.channels import channel_graph
from clusterability.graphs.tracing import trace


class Model(nn.Module):
    """What ``body(self, x)`` computes with layers of these names."""

    def __init__(self, body, **layers):
        super().__init__()
        self.body = body
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.body(self, x)


def convolution(n_inputs, n_outputs):
    return nn.Conv2d(n_inputs, n_outputs, 1)


def four_layers():
    return {
        "a": convolution(3, 4), "b": convolution(3, 4), "c": convolution(4, 2), "d": convolution(8, 2),
        "f": nn.Linear(4, 2), "g": nn.Linear(144, 2),
    }  # fmt: skip


def read(body, **options):
    """What every layer that runs reads, by name."""
    layers = trace(Model(body, **four_layers()), (3, 6, 6), **options)
    return {layer.name: sorted(layers[source].name for source in layer.sources) for layer in layers[1:]}


def in_place(s, x):
    y = s.a(x)
    y.add_(s.b(x))
    return s.c(y)


def in_place_by_operator(s, x):
    y = kept = s.a(x)
    y += s.b(x)
    return s.d(torch.cat([y, kept], 1))


@pytest.mark.parametrize(
    ("body", "last", "sources"),
    [
        (in_place, "c", ["a", "b"]),
        (in_place_by_operator, "d", ["a", "b"]),
        (lambda s, x: s.d(torch.cat(tensors=[s.a(x), s.b(x)], dim=1)), "d", ["a", "b"]),
        (lambda s, x: s.d(torch.cat([s.a(x), s.b(x)], axis=-3)), "d", ["a", "b"]),
        (lambda s, x: s.c(input=s.a(input=x)), "c", ["a"]),
        (lambda s, x: s.g(torch.flatten(input=s.a(x), start_dim=1)), "g", ["a"]),
        (lambda s, x: s.f(torch.mean(input=s.a(x), dim=(2, 3))), "f", ["a"]),
        (lambda s, x: s.f(s.a(x).mean(axis=[-2, -1])), "f", ["a"]),
        (lambda s, x: s.c(functional.pad(s.a(x), (1, 1, 1, 1))), "c", ["a"]),
        (lambda s, x: s.c(0.5 * torch.sigmoid(s.a(x)).detach()), "c", ["a"]),
        (lambda s, x: (lambda y: s.c(y * torch.sigmoid(y)))(s.a(x)), "c", ["a"]),
        (lambda s, x: s.a((x - torch.zeros(3, 1, 1)) / torch.ones(3, 1, 1)), "a", ["input"]),
    ],
)
def test_every_way_to_write_it_is_followed(body, last, sources):
    assert read(body)[last] == sources


def test_what_cannot_be_followed_is_refused():
    cases = [
        (lambda s, x: s.a(x).chunk(2, 1)[0], "chunk: an operation that gives several tensors"),
        (lambda s, x: s.c(s.a(x) + torch.tanh(s.b(x).max(1, keepdim=True)[0])), "several tensors"),
        (lambda s, x: s.c(s.a(x) * torch.sigmoid(s.b(x))), "'mul'"),
        (lambda s, x: s.c(s.a(x) * torch.ones(4, 1, 1)), "a factor of its own for every channel"),
        (lambda s, x: s.c(functional.pad(s.a(x), (0, 0, 0, 0, 1, -1))), "padding of the channels' axis"),
        (lambda s, x: nn.functional.relu(s.f(s.a(x)[:, :, 0, 0])), "index"),
        (lambda s, x: s.a(x).mean(dim=x.dim() - 1), "a mean over the axes"),
        (lambda s, x: s.a(x).unsqueeze(1), "unsqueeze to axis 1"),
        (lambda s, x: s.c(s.a(x) * s.b(x).sum()), "'sum'"),
        (lambda s, x: s.c(torch.einsum("nchw->nchw", s.a(x))), "einsum"),
    ]
    for body, words in cases:
        with pytest.raises(InputError, match=words):
            read(body)


def test_a_layer_on_what_an_index_has_left_is_refused():
    model = Model(lambda s, x: s.f(x[:, -1]), f=nn.Linear(5, 2))
    with pytest.raises(InputError, match="f: a layer on what an index has left"):
        trace(model, (7, 5))


def both_forms(s, x):
    y = s.fc(x.flatten(1))
    return y, s.a(x)


def two_sizes(s, x):
    return s.fc(x.flatten(1)), s.small(functional.avg_pool2d(x, 2).flatten(1))


def doubled(s, x):
    return s.wide(torch.cat([x, -x], 1).flatten(1))


@pytest.mark.parametrize("body", [both_forms, two_sizes, doubled])
def test_an_input_in_two_forms_is_refused(body):
    layers = {"fc": nn.Linear(48, 5), "small": nn.Linear(12, 5), "wide": nn.Linear(96, 5), "a": convolution(3, 4)}
    with pytest.raises(InputError, match="input"):
        trace(Model(body, **layers), (3, 4, 4))


def test_an_input_that_is_flattened_twice_alike_has_one_vertex_a_pixel():
    model = Model(lambda s, x: s.b(x.flatten(1)) + s.c(x.view(-1, 48)), b=nn.Linear(48, 5), c=nn.Linear(48, 5))
    graph = channel_graph(trace(model, (3, 4, 4)))
    assert (graph.layer_sizes, graph.n_edges) == ((48, 5, 5), 480)


def test_optional_arguments_of_forward_have_their_defaults():
    class Optional(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = convolution(3, 4), convolution(4, 2)

        def forward(self, x, mask=None, features=False):
            y = self.a(x)
            if mask is not None:
                y = y * mask
            return y if features else self.b(y)

    assert [layer.name for layer in trace(Optional(), (3, 2, 2))] == ["input", "a", "b"]


def test_a_module_made_while_running_leaves_the_model_as_it_was():
    def body(s, x):
        s.drop = nn.Dropout()
        return s.a(s.drop(x))

    model = Model(body, a=convolution(3, 4)).train()
    with pytest.raises(InputError, match="cannot be traced"):
        trace(model, (3, 2, 2))
    assert model.training
    assert model.a.training


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_precision_is_traced(dtype):
    model = nn.Sequential(convolution(3, 4), nn.ReLU(), convolution(4, 2)).to(dtype)
    expected = [model[0].weight.float(), model[2].weight.float()]
    for layer, weight in zip(trace(model, (3, 2, 2))[1:], expected, strict=True):
        assert_array_equal(layer.kernel, weight.detach().numpy())


def test_a_model_under_pruning_is_measured_by_its_masked_weights():
    model = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4))
    for layer in (model[0], model[2]):
        prune.l1_unstructured(layer, "weight", 0.5)
    found = channel_graph(trace(model, (12,))).adjacency
    for layer in (model[0], model[2]):
        prune.remove(layer, "weight")
    assert_array_equal(found.toarray(), channel_graph(trace(model, (12,))).adjacency.toarray())
    assert found.nnz == 2 * 72


def test_a_wrong_shape_is_one_sentence_with_the_layer_in_it(capfd):
    with pytest.raises(InputError, match=r"\(1, 6, 6\): a, given \(1, 6, 6\): ") as raised:
        trace(Model(lambda s, x: s.a(x), a=convolution(3, 4)), (1, 6, 6))
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", [np.nan, -1.0])
def test_statistics_that_are_no_variances_are_refused(number):
    model = nn.Sequential(convolution(3, 4), convolution(4, 4), nn.BatchNorm2d(4))
    model[2].running_var[0] = number
    with pytest.raises(InputError, match="'1' meets a batch normalization that is NaN"):
        channel_graph(trace(model, (3, 2, 2)))


def test_a_normalization_without_statistics_is_refused_unless_left_out():
    model = nn.Sequential(convolution(3, 4), nn.BatchNorm2d(4, track_running_stats=False), convolution(4, 4))
    with pytest.raises(InputError, match=r"1: .*running statistics"):
        trace(model, (3, 2, 2))
    assert len(trace(model, (3, 2, 2), fold_normalization=False)) == 3


def test_kernels_of_three_axes_name_their_layer_and_other_norms():
    layers = trace(nn.Sequential(nn.Conv3d(2, 3, 2), nn.Conv3d(3, 2, 2)), (2, 5, 5, 5))
    with pytest.raises(InputError, match=r"layer .1.: .*choose another"):
        channel_graph(layers)
    assert channel_graph(layers, norm="entrywise").n_edges == 6


def test_weights_of_what_lies_outside_the_graph_are_not_shuffled_into_it():
    model = Model(lambda s, x: s.b(torch.cat([x, s.a(x)], 1)), a=convolution(3, 6), b=convolution(9, 6))
    with torch.no_grad():
        model.b.weight[:, :3] = 100
    graph = channel_graph(trace(model, (3, 4, 4)))
    assert [connection.norms.shape for connection in graph.connections] == [(6, 6)]
    alone = Model(lambda s, x: s.b(s.a(x)), a=convolution(3, 6), b=convolution(6, 6))
    with torch.no_grad():
        alone.b.weight.copy_(model.b.weight[:, 3:])
    measurement = Measurement(n_clusters=3, n_shuffles=5)
    expected = measure(channel_graph(trace(alone, (3, 4, 4))), measurement, seed=0)
    assert_allclose(measure(graph, measurement, seed=0).shuffled_ncuts, expected.shuffled_ncuts)


@pytest.mark.parametrize("groups", [1, 2])
def test_an_edge_that_two_positions_make_counts_once(groups):
    b = nn.Conv2d(8, 4, 1, groups=groups)
    graph = channel_graph(
        trace(Model(lambda s, x: s.b(torch.cat([s.a(x)] * 2, 1)), a=convolution(3, 4), b=b), (3, 4, 4))
    )
    assert graph.n_edges == graph.adjacency.nnz // 2 == 16
