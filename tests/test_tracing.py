import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.nn import functional

from clusterability.base.errors import InputError
from clusterability.base.torchvision import import_torchvision
from clusterability.graphs.channels import channel_graph
from clusterability.graphs.layered import LayeredGraph
from clusterability.graphs.tracing import trace


def adjacency(model, input_shape, fold_normalization=True, **options):
    graph = channel_graph(trace(model, input_shape, fold_normalization=fold_normalization), **options)
    return graph.layer_names, graph.adjacency.toarray()


def norms(layer):
    """Induced norms of a convolution's kernels, one numpy call a kernel."""
    kernels = layer.weight.detach().double().numpy()
    return np.array([[np.linalg.norm(kernel, 1) for kernel in row] for row in kernels])


def by_hand(sizes, edges):
    """Adjacency of layers of these sizes with blocks (reader's units, source's units) by (reader, source)."""
    first = np.cumsum([0, *sizes])
    matrix = np.zeros((first[-1], first[-1]))
    for (reader, source), block in edges.items():
        rows, columns = first[reader] + np.arange(len(block)), first[source] + np.arange(block.shape[1])
        matrix[np.ix_(rows, columns)] += block
        matrix[np.ix_(columns, rows)] += block.T
    return matrix


def randomized(model, seed=0):
    """The model with positive statistics of its own in every batch normalization."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            for values in (module.weight.data, module.running_var):
                values.uniform_(0.5, 2, generator=generator)
    return model


def scale(normalization):
    values = normalization.weight.abs() / (normalization.running_var + normalization.eps).sqrt()
    return values.detach().double().numpy()


def test_an_mlp_equals_its_layered_graph():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 9), nn.ReLU(), nn.Dropout(), nn.Linear(9, 7), nn.Linear(7, 3))
    matrices = [layer.weight.detach().numpy() for layer in model if isinstance(layer, nn.Linear)]
    expected = LayeredGraph.of(matrices).adjacency.toarray()
    for shape in ((16,), (1, 4, 4)):
        names, found = adjacency(model, shape)
        assert names == ("input", "1", "4", "5")
        assert_allclose(found, expected)


class SmallCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 5, 3, padding=1)
        self.third = nn.Conv2d(5, 4, 3, padding=1)
        self.hidden, self.out = nn.Linear(4 * 2 * 2, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = functional.max_pool2d(torch.relu(self.second(functional.relu(self.first(x)))), 2)
        x = functional.max_pool2d(self.third(x).relu(), 2)
        x = functional.dropout(x.view(x.size(0), -1), 0.5, self.training)
        return functional.log_softmax(self.out(functional.relu(self.hidden(x))), dim=1)


def test_a_small_cnn_by_hand():
    model = SmallCNN()
    names, found = adjacency(model, (1, 8, 8))
    assert names == ("first", "second", "third")
    convolutions = {(1, 0): norms(model.second), (2, 1): norms(model.third)}
    assert_allclose(found, by_hand([6, 5, 4], convolutions))
    _, found = adjacency(model, (1, 8, 8), input_layer=True)
    shifted = {(r + 1, s + 1): block for (r, s), block in convolutions.items()}
    assert_allclose(found, by_hand([1, 6, 5, 4], {(1, 0): norms(model.first), **shifted}))
    # A dense layer reads every channel's flattened area, as a convolution reads a kernel.
    hidden = model.hidden.weight.detach().double().numpy().reshape(8, 4, 2, 2)
    area_norms = np.abs(hidden).sum(2).max(2)
    out = np.abs(model.out.weight.detach().double().numpy())
    names, found = adjacency(model, (1, 8, 8), part="dense")
    assert names == ("hidden", "out")
    assert_allclose(found, by_hand([8, 3], {(1, 0): out}))
    names, found = adjacency(model, (1, 8, 8), part="dense", input_layer=True)
    assert names == ("third", "hidden", "out")
    assert_allclose(found, by_hand([4, 8, 3], {(1, 0): area_norms, (2, 1): out}))
    _, found = adjacency(model, (1, 8, 8), part="all")
    assert_allclose(found, by_hand([6, 5, 4, 8, 3], {**convolutions, (3, 2): area_norms, (4, 3): out}))


class ResidualBlock(nn.Module):
    """A stem, a block with a projection, a block without, and a head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.a, self.b = nn.Conv2d(4, 6, 3, padding=1, stride=2), nn.Conv2d(6, 6, 3, padding=1)
        self.c, self.d = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.project = nn.Conv2d(4, 6, 1, stride=2)
        self.norm_a, self.norm_b, self.norm_p = nn.BatchNorm2d(6), nn.BatchNorm2d(6), nn.BatchNorm2d(6)
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, x):
        x = functional.relu(self.stem(x))
        out = self.norm_b(self.b(functional.relu(self.norm_a(self.a(x)))))
        out += self.norm_p(self.project(x))
        x = functional.relu(out)
        x = functional.relu(self.d(functional.relu(self.c(x))) + x)
        return self.head(x).mean([2, 3])


@pytest.mark.parametrize("fold", [True, False])
def test_a_residual_network_by_hand(fold):
    model = randomized(ResidualBlock())
    names, found = adjacency(model, (3, 8, 8), fold_normalization=fold)
    assert names == ("stem", "a", "b", "project", "c", "d", "head")
    a, b, project = (
        norms(layer) * (scale(normalization)[:, None] if fold else 1)
        for layer, normalization in ((model.a, model.norm_a), (model.b, model.norm_b), (model.project, model.norm_p))
    )
    c, head = norms(model.c), norms(model.head)
    # c reads b + project; head reads d + b + project, for the second block adds to the first one's sum.
    edges = {(1, 0): a, (2, 1): b, (3, 0): project, (4, 2): c, (4, 3): c, (5, 4): norms(model.d)}
    edges |= {(6, 5): head, (6, 2): head, (6, 3): head}
    assert_allclose(found, by_hand([4, 6, 6, 6, 6, 6, 2], edges))


class DenseBlock(nn.Module):
    """Layers that read all before them, normalized before they do."""

    def __init__(self):
        super().__init__()
        self.stem, self.one = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)
        self.norm, self.two, self.last = nn.BatchNorm2d(6), nn.Conv2d(6, 5, 1), nn.Conv2d(11, 3, 1)

    def forward(self, x):
        x = self.stem(x)
        one = self.one(x)
        two = self.two(torch.relu(self.norm(torch.cat([x, one], 1))))
        return self.last(torch.cat((x, one, two), dim=-3))


@pytest.mark.parametrize("fold", [True, False])
def test_concatenations_by_hand(fold):
    model = randomized(DenseBlock())
    _, found = adjacency(model, (3, 5, 5), fold_normalization=fold)
    two, last = norms(model.two) * (scale(model.norm) if fold else 1), norms(model.last)
    edges = {(1, 0): norms(model.one), (2, 0): two[:, :4], (2, 1): two[:, 4:]}
    edges |= {(3, 0): last[:, :4], (3, 1): last[:, 4:6], (3, 2): last[:, 6:]}
    assert_allclose(found, by_hand([4, 2, 5, 3], edges))


def test_a_depthwise_block_by_hand():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 3, groups=4, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
        nn.Conv2d(8, 6, 1), nn.Conv2d(6, 4, 3, groups=2),
    )  # fmt: skip
    _, found = adjacency(randomized(model), (3, 9, 9))
    depthwise, grouped = np.zeros((8, 4)), np.zeros((4, 6))
    depthwise[np.arange(8), np.arange(8) // 2] = norms(model[1])[:, 0]
    depthwise *= scale(model[2])[:, None]
    grouped[:2, :3], grouped[2:, 3:] = norms(model[5])[:2], norms(model[5])[2:]
    edges = {(1, 0): depthwise, (2, 1): norms(model[4]), (3, 2): grouped}
    assert_allclose(found, by_hand([4, 8, 6, 4], edges))


@pytest.mark.parametrize("grouped", [False, True])
def test_normalization_before_a_grouped_layer_scales_what_it_reads(grouped):
    groups = 2 if grouped else 1
    model = nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, groups=groups))
    randomized(model)
    expected = np.zeros((6, 4))
    if grouped:
        expected[:3, :2], expected[3:, 2:] = norms(model[1])[:3], norms(model[1])[3:]
    else:
        expected = norms(model[1])
    _, found = adjacency(model, (4, 5, 5), input_layer=True)
    assert_allclose(found, by_hand([4, 6], {(1, 0): expected * scale(model[0])}))


def test_normalization_after_the_activation_scales_the_layer_before_it():
    model = randomized(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 3)))
    _, found = adjacency(model, (3, 9, 9), input_layer=True)
    edges = {(1, 0): norms(model[0]) * scale(model[2])[:, None], (2, 1): norms(model[3])}
    assert_allclose(found, by_hand([3, 4, 5], edges))


def test_folding_equals_a_network_whose_weights_were_folded():
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3))
    randomized(plain).eval()
    folded = torch.nn.utils.fusion.fuse_conv_bn_eval(plain[0], plain[1])
    bare = nn.Sequential(folded, nn.ReLU(), plain[3])
    for one, other in zip(
        adjacency(plain, (3, 9, 9), input_layer=True)[1], adjacency(bare, (3, 9, 9), input_layer=True)[1], strict=True
    ):
        assert_allclose(one, other, rtol=1e-6)


class Wiring(nn.Module):
    """1 × 1 convolutions of positive weights, wired as a list of (operation, where from, where from) says."""

    def __init__(self, width, operations):
        super().__init__()
        self.operations = operations
        self.convolutions = nn.ModuleDict()
        n_channels = [width]
        for index, (operation, a, b) in enumerate(operations):
            if operation == "convolution":
                self.convolutions[str(index)] = nn.Conv2d(n_channels[a], width, 1)
                n_channels.append(width)
            elif operation == "cat":
                n_channels.append(n_channels[a] + n_channels[b])
            else:
                n_channels.append(n_channels[a])
        for parameter in self.parameters():
            nn.init.uniform_(parameter, 0.1, 1)

    def forward(self, x):
        tensors = [x]
        for index, (operation, a, b) in enumerate(self.operations):
            if operation == "convolution":
                tensors.append(self.convolutions[str(index)](tensors[a]))
            elif operation == "cat":
                tensors.append(torch.cat([tensors[a], tensors[b]], 1))
            elif operation == "add":
                tensors.append(tensors[a] + tensors[b])
            else:
                tensors.append(functional.relu(tensors[a]))
        return tensors[-1]


@st.composite
def wirings(draw):
    """A :class:`Wiring`; sums are of tensors that share no layer."""
    width = draw(st.integers(1, 3))
    operations, flows = [], [[{("x", unit)} for unit in range(width)]]
    for index in range(draw(st.integers(2, 9))):
        operation = draw(st.sampled_from(["convolution", "convolution", "cat", "add", "relu"]))
        a, b = (draw(st.integers(0, len(flows) - 1)) for _ in range(2))
        if operation == "add":
            # What is added to itself has twice the derivative, but no second edge.
            apart = [
                n for n, flow in enumerate(flows)
                if len(flow) == len(flows[a]) and not _layers(flow) & _layers(flows[a])
            ]  # fmt: skip
            operation, b = ("add", draw(st.sampled_from(apart))) if apart else ("relu", a)
        if operation == "cat" and len(flows[a]) + len(flows[b]) > 12:
            operation = "relu"
        operations.append((operation, a, b))
        if operation == "convolution":
            flows.append([{(index, unit)} for unit in range(width)])
        elif operation == "cat":
            flows.append(flows[a] + flows[b])
        elif operation == "add":
            flows.append([one | other for one, other in zip(flows[a], flows[b], strict=True)])
        else:
            flows.append(flows[a])
    last = draw(st.integers(0, len(flows) - 1))
    return Wiring(width, [*operations, ("convolution", last, last)])


def _layers(flow):
    return {layer for units in flow for layer, _ in units}


@settings(max_examples=40)
@given(wirings())
def test_edges_are_the_derivatives_of_every_layer_by_those_that_it_reads_directly(model):
    outputs = {"input": torch.ones(1, model.convolutions[next(iter(model.convolutions))].out_channels, 1, 1)}
    outputs["input"].requires_grad_()
    computed = {}

    def cut_off(name):
        def hook(_module, _inputs, output):
            computed[name] = output
            outputs[name] = output.detach().requires_grad_()  # later layers depend on this, not on what made it
            return outputs[name]

        return hook

    graph = channel_graph(trace(model, tuple(outputs["input"].shape[1:])), part="all", input_layer=True)
    for name, module in model.convolutions.items():
        module.register_forward_hook(cut_off(f"convolutions.{name}"))
    model(outputs["input"])
    sizes = dict(zip(graph.layer_names, graph.layer_sizes, strict=True))
    first = dict(zip(sizes, np.cumsum([0, *sizes.values()])[:-1], strict=True))
    expected = np.zeros((graph.n_vertices, graph.n_vertices))
    for reader, output in computed.items():
        for unit, value in enumerate(output.flatten()):
            derivatives = torch.autograd.grad(
                value, [outputs[name] for name in sizes], allow_unused=True, retain_graph=True
            )
            for source, derivative in zip(sizes, derivatives, strict=True):
                if derivative is not None:
                    row, columns = first[reader] + unit, first[source] + np.arange(sizes[source])
                    expected[row, columns] += derivative.flatten().numpy()
                    expected[columns, row] += derivative.flatten().numpy()
    assert_allclose(graph.adjacency.toarray(), expected, rtol=1e-5)
    vectors = np.random.default_rng(0).normal(size=(graph.n_vertices, 3))
    assert_allclose(graph.times(vectors), expected @ vectors, rtol=1e-5, atol=1e-5)
    assert_allclose(graph.degree, expected.sum(0), rtol=1e-5)


def test_what_is_added_twice_is_read_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 2, 1)

        def forward(self, x):
            a = self.a(x)
            return self.c(a + self.b(a) + a + 1)

    model = Twice()
    edges = {(1, 0): norms(model.b), (2, 0): norms(model.c), (2, 1): norms(model.c)}
    assert_allclose(adjacency(model, (3, 2, 2))[1], by_hand([4, 4, 2], edges))


def test_tracing_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout(), nn.Conv2d(2, 2, 1)).train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trace(model, (1, 4, 4))
    assert [module.training for module in model] == [True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Body(nn.Module):
    """Something done to the output of a convolution with 4 channels, inside a module of its own."""

    def __init__(self, body, *layers):
        super().__init__()
        self.stem, self.body, self.layers = nn.Conv2d(3, 4, 1), Apply(body), nn.ModuleList(layers)

    def forward(self, x):
        return self.body(self.stem(x), self.layers)


class Apply(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x, layers):
        return self.function(x, layers)


def test_what_is_not_understood_is_named_with_its_path():
    cases = [
        (lambda x, _: x.permute(0, 2, 3, 1), [], ["body", "permute"]),
        (lambda x, layers: x * layers[0](x).mean([2, 3], keepdim=True), [nn.Conv2d(4, 4, 1)], ["body", "mul"]),
        (lambda x, _: x.mean(1), [], ["body", "a mean over the axes"]),
        (lambda x, _: torch.cat([x, x], 2), [], ["body", "along axis 2"]),
        (lambda x, _: x + torch.flip(x, [1]), [], ["body", "flip"]),
        (lambda x, _: torch.cat([x[:, :2], x[:, 2:]], 1), [], ["body", "index"]),
        (lambda x, layers: layers[0](layers[0](x)), [nn.Conv2d(4, 4, 1)], ["layers.0", "run twice"]),
        (lambda x, layers: layers[0](x), [nn.Linear(6, 2)], ["layers.0", "linear layer"]),
        (lambda x, layers: layers[0](x), [nn.GRU(6, 2)], ["cannot be traced"]),
        (lambda x, layers: layers[0](x), [nn.LayerNorm([4, 6, 6])], ["layers.0", "LayerNorm"]),
        (lambda x, layers: layers[0](x), [nn.Conv2d(5, 4, 1)], ["cannot be traced", "(3, 6, 6)"]),
        (lambda x, _: x if x.sum() > 0 else -x, [], ["cannot be traced"]),
    ]
    for body, layers, words in cases:
        with pytest.raises(InputError) as raised:
            trace(Body(body, *layers), (3, 6, 6))
        for word in words:
            assert word in str(raised.value)


def test_a_sum_of_one_layer_s_units_in_different_orders_is_refused():
    class Crossed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)

        def forward(self, x):
            a = self.a(x)
            b = self.b(a)
            return torch.cat([a, b], 1) + torch.cat([b, a], 1)

    with pytest.raises(InputError, match="different orders"):
        trace(Crossed(), (3, 2, 2))


def test_models_without_what_is_asked_for_are_refused():
    with pytest.raises(InputError, match="no linear and no convolutional layer"):
        trace(nn.ReLU(), (3, 2, 2))
    layers = trace(nn.Linear(3, 2), (3,))
    with pytest.raises(InputError, match="no convolutional part"):
        channel_graph(layers, part="convolutional")
    with pytest.raises(InputError, match="no edge"):
        channel_graph(layers, input_layer=False)
    with pytest.raises(InputError, match="'dens'"):
        channel_graph(layers, part="dens")
    with pytest.raises(InputError, match="'l1'"):
        channel_graph(layers, norm="l1")
    broken = nn.Linear(3, 2)
    nn.init.constant_(broken.weight, torch.nan)
    with pytest.raises(InputError, match="NaN or infinite"):
        channel_graph(trace(broken, (3,)))


@pytest.mark.parametrize(
    ("name", "n_vertices"),
    [("vgg16", 4224), ("vgg19", 5504), ("resnet18", 4800), ("resnet34", 8512), ("resnet50", 26560),
     ("inception_v3", 17216)],
)  # fmt: skip
def test_the_paper_s_imagenet_architectures(name, n_vertices):
    options = {"init_weights": False} if name == "inception_v3" else {}
    with torch.device("meta"):
        model = import_torchvision().models.get_model(name, weights=None, **options)
    ones = {name: torch.ones(()).expand(tensor.shape) for name, tensor in model.state_dict().items()}
    model.load_state_dict(ones, assign=True)
    graph = channel_graph(trace(model, (3, 224, 224)))
    convolutions = [m for path, m in model.named_modules() if isinstance(m, nn.Conv2d) and "Aux" not in path]
    assert graph.n_vertices == n_vertices == sum(m.out_channels for m in convolutions)
    modules = dict(model.named_modules())
    assert_array_equal(graph.layer_sizes, [modules[name].out_channels for name in graph.layer_names])
