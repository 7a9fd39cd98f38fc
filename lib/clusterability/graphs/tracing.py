"""Which units of a PyTorch model feed which: its weighted layers and what each reads, by tracing (torch.fx).

A unit is an output of a weighted layer: a channel of a convolution, a neuron of a linear layer. Between
weighted layers data pass through operations that keep channels apart (activations, pooling, dropout),
add them up, or line them up (concatenation, flattening). A layer that reads a sum reads every layer in
the sum (C, appendix).
"""

from __future__ import annotations

import copy
import inspect
import math
import operator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from clusterability.base.errors import InputError, reason

INPUT = 0  # index of the layer that stands for the model's input
_SEVERAL = "several"  # stands for the shape of a tuple or dictionary of tensors
_Shape = tuple[int, ...] | str | None  # of a tensor, or _SEVERAL, or None of what holds no tensor
_BATCH = 2  # examples on which shapes are found: of one, squeezing would lose the axis

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
# Operations on every channel by itself, as modules, and as functions and methods of tensors.
_TRANSPARENT_MODULES = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardtanh,
    nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softsign, nn.Softmax, nn.LogSoftmax,
    nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Upsample,
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d,
    nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ConstantPad2d,
)  # fmt: skip
_IN_PLACE = {operator.iadd, "add_"}
_ADDITIONS = {operator.add, torch.add, "add"} | _IN_PLACE
_FACTORS = {operator.mul, operator.imul, operator.truediv, torch.mul, torch.div, "mul", "div"}
_TRANSPARENT = _FACTORS | {
    F.relu, F.relu_, F.relu6, F.leaky_relu, F.elu, F.selu, F.gelu, F.silu, F.mish, F.hardtanh, F.hardswish,
    F.hardsigmoid, F.sigmoid, F.tanh, F.softplus, F.softmax, F.log_softmax, F.dropout, F.dropout2d, F.pad,
    F.interpolate, F.max_pool1d, F.max_pool2d, F.avg_pool1d, F.avg_pool2d, F.adaptive_avg_pool2d,
    F.adaptive_max_pool2d, torch.relu, torch.relu_, torch.sigmoid, torch.tanh, torch.softmax, torch.log_softmax,
    torch.neg, torch.clamp, torch.sub, operator.sub, operator.neg, "sub", "relu", "relu_", "sigmoid", "tanh",
    "softmax", "log_softmax", "clamp", "contiguous", "clone", "float", "detach", "to",
}  # fmt: skip
_CONCATENATIONS = {torch.cat, torch.concat}
_MEANS = {torch.mean, "mean"}
_FLATTENINGS = {torch.flatten, torch.reshape, torch.squeeze, "flatten", "view", "reshape", "squeeze"}
_INDEXINGS = {operator.getitem, torch.unsqueeze, "unsqueeze"}


@dataclass
class Layer:
    """A weighted layer, or the input."""

    name: str  # path of the module; "input"
    kind: str  # "input", "convolution" or "linear"
    n_units: int
    # (n_units, positions / groups, ...) of float32, or float64 if the model is: weights by unit and position of
    # the channel read; behind these, kernels or flattened areas. None for the input.
    kernel: np.ndarray | None = None
    groups: int = 1  # of equally many units that read equally many positions, each group its own
    # For every layer that is read, by index, which of its units stands at each position; −1: none.
    sources: dict[int, np.ndarray] = field(default_factory=dict)
    # What batch normalizations behind a unit, and before a position, multiply its weights by. None for the input.
    unit_scale: np.ndarray | None = None
    position_scale: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class _Flow:
    """A tensor on its way: which units stand at its channels' positions."""

    sources: dict[int, np.ndarray]
    scale: np.ndarray  # (positions,): what normalizations of several layers' units leave to those who read them
    area: tuple[int, ...] = ()  # the shape behind a channel that flattening has put into the channels' axis
    lost: bool = False  # whether the channels' axis has been indexed away

    @property
    def n_positions(self) -> int:
        return len(self.scale)


def trace(model: nn.Module, input_shape: tuple[int, ...], *, fold_normalization: bool = True) -> list[Layer]:
    """The weighted layers of a model, as it runs in evaluation, in the order in which they run, the input first.

    The input's shape is that of one example: (channels, height, width), or (features,). Folding multiplies
    weights by |γ| / sqrt(σ² + ε) of the batch normalization behind them (C, appendix); one that several
    layers' units reach, after a sum or a concatenation, multiplies the weights that read it. InputError: the
    model cannot be traced or run, or has an operation that is not understood, named with its module's path.

    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 10))
    >>> [(layer.name, layer.n_units) for layer in trace(model, (3, 8, 8))]
    [('input', 3), ('0', 8), ('3', 10)]
    """
    training = {module: module.training for module in model.modules()}
    model.eval()
    # A single layer would be traced into its inner operations.
    whole = nn.Sequential(model) if fx.Tracer().is_leaf_module(model, "") else model
    try:
        arguments = inspect.signature(whole.forward).parameters.items()
        defaults = {name: argument.default for name, argument in arguments if argument.default is not argument.empty}
        traced = fx.symbolic_trace(whole, concrete_args=defaults)
        shapes = _shapes(traced, tuple(input_shape))
    except Exception as failure:  # whatever a user's forward raises
        raise InputError(
            f"{type(model).__name__} cannot be traced on an input of shape {tuple(input_shape)}: {reason(failure)}"
        ) from failure
    finally:
        for module, was_training in training.items():
            module.training = was_training
    walk = _Walk(traced, shapes, input_shape[0], fold_normalization)
    for node in traced.graph.nodes:
        walk.visit(node)
    if len(walk.layers) == 1:
        raise InputError(f"{type(model).__name__} has no linear and no convolutional layer that is run")
    return walk.layers


def _shapes(traced: fx.GraphModule, input_shape: tuple[int, ...]) -> dict[fx.Node, _Shape]:
    """The shape of what every node gives for a batch of examples, found without computing it."""
    # A copy whose tensors have shapes only: running it takes no time, and making it no memory.
    without = {id(p): nn.Parameter(p.detach().to("meta"), requires_grad=False) for p in traced.parameters()}
    # Besides buffers: what torch.nn.utils.prune and weight_norm leave, weights that are no parameters.
    others = [value for part in traced.modules() for value in vars(part).values() if torch.is_tensor(value)]
    shaped = copy.deepcopy(traced, without | {id(b): b.detach().to("meta") for b in [*traced.buffers(), *others]})
    dtype = next((p.dtype for p in shaped.parameters() if p.is_floating_point()), torch.float32)
    run = _Shapes(shaped, graph=traced.graph)
    run.run(torch.empty(_BATCH, *input_shape, dtype=dtype, device="meta"))
    return run.shapes


class _Shapes(fx.Interpreter):
    """Runs a traced model and notes shapes."""

    def __init__(self, module: fx.GraphModule, graph: fx.Graph) -> None:
        super().__init__(module, graph=graph)
        self.extra_traceback = False  # it would be part of the error's text
        self.shapes: dict[fx.Node, _Shape] = {}

    def run_node(self, node: fx.Node):
        try:
            given = super().run_node(node)
        except Exception as failure:
            place = node.target if node.op == "call_module" else node.name
            tensors = [self.env[source] for source in node.all_input_nodes]
            given = ", ".join(str(tuple(tensor.shape[1:])) for tensor in tensors if torch.is_tensor(tensor))
            raise RuntimeError(f"{place}, given {given or 'nothing'}: {reason(failure)}") from failure
        several = _SEVERAL if any(map(torch.is_tensor, pytree.tree_leaves(given))) else None
        self.shapes[node] = tuple(given.shape) if torch.is_tensor(given) else several
        return given


def _input(node: fx.Node):
    """The first argument, however it is given."""
    return node.args[0] if node.args else node.kwargs.get("input", node.kwargs.get("tensors"))


def _axis(node: fx.Node, default=None):
    """The second argument, however it is given."""
    return node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("axis", default))


class _Walk:
    """Follows the data through a traced graph, node by node."""

    def __init__(self, traced: fx.GraphModule, shapes: dict[fx.Node, _Shape], n_channels: int, fold: bool) -> None:
        self.modules, self.shapes, self.fold = dict(traced.named_modules()), shapes, fold
        self.channels = np.arange(n_channels)
        self.layers = [Layer("input", "input", n_channels)]
        self.flows: dict[fx.Node, _Flow] = {}
        self.layer_at: dict[fx.Node, Layer] = {}
        # How the input was flattened, and the nodes in which its channels still stand as they were.
        self.flattening: tuple | None = None
        self.as_channels: set[fx.Node] = set()

    def visit(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            if not self.flows:
                self.flows[node] = _Flow({INPUT: self.channels}, np.ones(len(self.channels)))
            elif not node.args:  # with a default, it has its value
                raise InputError(f"the model has a second input, {node.target!r}: one is understood")
            return
        if node.op == "output" or self.shapes[node] is None or self.flows.keys().isdisjoint(node.all_input_nodes):
            return
        try:
            flow = self._flow(node, self.shapes[node])
        except InputError:
            raise
        except Exception as failure:  # an operation can be called in more ways than are thought of here
            raise self._unknown(node, f"the way in which it is called ({reason(failure)})") from failure
        self.flows[node] = flow
        if node.target in _IN_PLACE:
            self.flows[_input(node)] = flow

    def _flow(self, node: fx.Node, shape: _Shape) -> _Flow:
        if shape == _SEVERAL:
            raise self._unknown(node, "an operation that gives several tensors")
        before = len(self.layers)
        flow = self._module(node) if node.op == "call_module" else self._function(node)
        flattens = flow.n_positions == self.layers[INPUT].n_units and len(self.layers) == before
        if not self.as_channels.isdisjoint(node.all_input_nodes) and not flattens:
            raise self._unknown(node, "an input that is read both as channels and flattened")
        if not flow.lost and (len(shape) < 2 or shape[1] != flow.n_positions * math.prod(flow.area)):
            raise self._unknown(node, f"what makes {shape} of {self.shapes[_input(node)]}")
        return flow

    def _module(self, node: fx.Node) -> _Flow:
        module, flow = self.modules[node.target], self._read(node, _input(node))
        if flow.lost and isinstance(module, (*_CONVOLUTIONS, nn.Linear)):
            raise self._unknown(node, "a layer on what an index has left")
        if isinstance(module, _CONVOLUTIONS):
            return self._layer(node, "convolution", module.weight, flow, module.groups)
        if isinstance(module, nn.Linear):
            if len(self.shapes[_input(node)]) != 2:
                raise self._unknown(node, "a linear layer on the last of several axes")
            return self._layer(node, "linear", module.weight.unflatten(1, (flow.n_positions, *flow.area)), flow)
        if isinstance(module, _NORMALIZATIONS):
            return self._normalization(node, module, flow)
        if isinstance(module, nn.Flatten):
            return self._flattened(node, flow)
        if isinstance(module, _TRANSPARENT_MODULES):
            return flow
        raise self._unknown(node, f"a {type(module).__name__}")

    def _function(self, node: fx.Node) -> _Flow:
        target, flows = node.target, [self.flows[source] for source in node.all_input_nodes if source in self.flows]
        if target in _CONCATENATIONS:
            return self._concatenation(node)
        if target in _ADDITIONS:
            return self._sum(node, flows)
        if target in _FACTORS:
            factors = [self.shapes[a] for a in node.all_input_nodes if a not in self.flows]
            if any(math.prod(shape or ()) > 1 for shape in factors) and set(flows[0].sources) != {INPUT}:
                raise self._unknown(node, "a factor of its own for every channel")
        if target is F.pad and len(_axis(node, node.kwargs.get("pad"))) > 2 * len(self.shapes[_input(node)][2:]):
            raise self._unknown(node, "padding of the channels' axis")
        if len(flows) == 1 or (target in _FACTORS and all(flow is flows[0] for flow in flows)):
            if target in _TRANSPARENT:
                return flows[0]
            if target in _MEANS:
                return self._mean(node, flows[0])
            if target in _FLATTENINGS:
                return self._flattened(node, flows[0])
            if target in _INDEXINGS:
                return self._indexed(node, flows[0])
        raise self._unknown(node, f"the operation {getattr(target, '__name__', target)!r}")

    def _read(self, node: fx.Node, source: fx.Node) -> _Flow:
        if source not in self.flows:
            raise self._unknown(node, "an operation on what does not come from the input")
        return self.flows[source]

    def _layer(self, node: fx.Node, kind: str, weight: torch.Tensor, flow: _Flow, groups: int = 1) -> _Flow:
        if any(layer.name == node.target for layer in self.layers):
            raise self._unknown(node, "a layer that is run twice")
        kernel = weight.detach().to(torch.promote_types(weight.dtype, torch.float32)).cpu().numpy()
        n = len(kernel)
        self.layer_at[node] = Layer(node.target, kind, n, kernel, groups, flow.sources, np.ones(n), flow.scale)
        self.layers.append(self.layer_at[node])
        return _Flow({len(self.layers) - 1: np.arange(n)}, np.ones(n))

    def _normalization(self, node: fx.Node, module: nn.Module, flow: _Flow) -> _Flow:
        if flow.area:
            raise self._unknown(node, "a batch normalization of flattened channels")
        if not self.fold:
            return flow
        if module.running_var is None:
            raise self._unknown(node, "folding a batch normalization without running statistics (--no-fold)")
        gamma = torch.ones_like(module.running_var) if module.weight is None else module.weight
        scale = (gamma.detach().abs() / (module.running_var + module.eps).sqrt()).double().cpu().numpy()
        layer = self._layer_behind(_input(node))
        if layer is None:
            return replace(flow, scale=flow.scale * scale)
        layer.unit_scale *= scale
        return flow

    def _layer_behind(self, node: fx.Node) -> Layer | None:
        """The weighted layer whose units reach only this place, each by itself; None: there is none."""
        while len(node.users) == 1 and node.op != "placeholder":
            if node in self.layer_at:
                return self.layer_at[node]
            before = _input(node)
            if self.flows.get(before) is not self.flows[node]:
                return None
            node = before
        return None

    def _sum(self, node: fx.Node, flows: list[_Flow]) -> _Flow:
        first, sources = flows[0], {}
        for flow in flows:
            if (flow.n_positions, flow.area, flow.lost) != (first.n_positions, first.area, False):
                raise self._unknown(node, "a sum of tensors of different shapes")
            if (flow.scale != 1).any():
                raise self._unknown(node, "a sum of what a batch normalization of several layers has scaled")
            for index, units in flow.sources.items():
                if not np.array_equal(sources.setdefault(index, units), units):
                    raise self._unknown(node, "a sum of one layer's units in different orders")
        return first if len(sources) == len(first.sources) else replace(first, sources=sources)

    def _concatenation(self, node: fx.Node) -> _Flow:
        axis = _axis(node, 0)
        flows = [self._read(node, part) for part in _input(node)]
        if axis not in (1, 1 - len(self.shapes[node])) or any(flow.area or flow.lost for flow in flows):
            raise self._unknown(node, f"a concatenation along axis {axis}")
        sources = {
            index: np.concatenate([flow.sources.get(index, np.full(flow.n_positions, -1)) for flow in flows])
            for index in dict.fromkeys(index for flow in flows for index in flow.sources)
        }
        return _Flow(sources, np.concatenate([flow.scale for flow in flows]))

    def _mean(self, node: fx.Node, flow: _Flow) -> _Flow:
        axes = _axis(node)
        axes = axes if isinstance(axes, tuple | list) else [axes]
        n_axes = len(self.shapes[_input(node)])
        if any(not isinstance(axis, int) or axis % n_axes < 2 for axis in axes):
            raise self._unknown(node, f"a mean over the axes {axes}")
        return flow

    def _flattened(self, node: fx.Node, flow: _Flow) -> _Flow:
        before, after = self.shapes[_input(node)], self.shapes[node]
        if before[:2] == after[:2] and math.prod(before) == math.prod(after):
            return flow
        if len(after) != 2 or after[0] != before[0] or flow.lost:
            raise self._unknown(node, f"what makes {after} of {before}")
        if list(flow.sources) != [INPUT]:
            return replace(flow, area=tuple(before[2:]))
        if not np.array_equal(flow.sources[INPUT], self.channels):
            raise self._unknown(node, "flattening some of the input's channels, or one twice,")
        if self.flattening is None and any(INPUT in layer.sources for layer in self.layers):
            raise self._unknown(node, "an input that is read both as channels and flattened")
        if self.flattening not in (None, before):
            raise self._unknown(node, f"an input that is flattened from {self.flattening[1:]} and from {before[1:]}")
        self.flattening = before
        n_channels, n_pixels = len(self.channels), after[1]
        self.as_channels |= {n for n, f in self.flows.items() if f.n_positions == n_channels and INPUT in f.sources}
        self.layers[INPUT].n_units = n_pixels  # the pixels are the units
        return _Flow({INPUT: np.arange(n_pixels)}, np.repeat(flow.scale, n_pixels // n_channels))

    def _indexed(self, node: fx.Node, flow: _Flow) -> _Flow:
        """x[:, i], and unsqueeze(1) of that."""
        index = _axis(node)
        if flow.lost and index == 1:
            return replace(flow, lost=False)
        is_channel = isinstance(index, tuple) and len(index) == 2 and index[0] == slice(None)
        if flow.lost or flow.area or not (is_channel and isinstance(index[1], int)):
            what = "the index" if node.target is operator.getitem else "unsqueeze to axis"
            raise self._unknown(node, f"{what} {index}")
        channel = [index[1]]
        sources = {layer: units[channel] for layer, units in flow.sources.items()}
        return _Flow(sources, flow.scale[channel], lost=True)

    def _unknown(self, node: fx.Node, what: str) -> InputError:
        inside = [path for path in (node.meta.get("nn_module_stack") or {}) if path]
        place = node.target if node.op == "call_module" else f"{inside[-1]}: {node.name}" if inside else node.name
        return InputError(f"{place}: {what} is not understood by the tracer")
