"""The shape of everything that a traced model computes, found without computing it."""

from __future__ import annotations

import copy

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from clusterability.base.errors import reason

SEVERAL = "several"
"""Stands for the shape of a tuple or dictionary of tensors."""
Shape = tuple[int, ...] | str | None
"""A tensor's shape, or SEVERAL, or None of what holds no tensor."""
_BATCH = 2  # examples: of one, squeezing would lose the axis


def shapes_of(traced: fx.GraphModule, input_shape: tuple[int, ...]) -> list[Shape]:
    """What every node of a traced model gives, in their order, for a batch of examples.

    Parameters
    ----------
    input_shape : tuple of int
        Of one example.

    Raises
    ------
    RuntimeError
        What the model raises on such an input, and where.

    >>> shapes_of(fx.symbolic_trace(nn.Sequential(nn.Linear(3, 5))), (3,))
    [(2, 3), (2, 5), (2, 5)]
    """
    shaped = _on_meta(traced)
    dtype = next((p.dtype for p in shaped.parameters() if p.is_floating_point()), torch.float32)
    run = _Shapes(shaped)
    run.run(torch.empty(_BATCH, *input_shape, dtype=dtype, device="meta"))
    return run.shapes


class _Shapes(fx.Interpreter):
    """Runs a traced model and notes shapes."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.extra_traceback = False  # it would be part of the error's text
        self.shapes: list[Shape] = []

    def run_node(self, node: fx.Node):
        try:
            given = super().run_node(node)
        except Exception as failure:
            place = node.target if node.op == "call_module" else node.name
            tensors = [self.env[source] for source in node.all_input_nodes]
            given = ", ".join(str(tuple(tensor.shape[1:])) for tensor in tensors if torch.is_tensor(tensor))
            raise RuntimeError(f"{place}, given {given or 'nothing'}: {reason(failure)}") from failure
        if torch.is_tensor(given):
            self.shapes.append(tuple(given.shape))
        else:
            self.shapes.append(SEVERAL if any(map(torch.is_tensor, pytree.tree_leaves(given))) else None)
        return given


def _on_meta(module: nn.Module) -> nn.Module:
    """A copy whose tensors have shapes only: running it takes no time, and making it no memory."""
    without = {id(p): nn.Parameter(p.detach().to("meta"), requires_grad=False) for p in module.parameters()}
    # Besides buffers: what torch.nn.utils.prune and weight_norm leave, weights that are no parameters.
    others = [value for part in module.modules() for value in vars(part).values() if torch.is_tensor(value)]
    return copy.deepcopy(module, without | {id(b): b.detach().to("meta") for b in [*module.buffers(), *others]})
