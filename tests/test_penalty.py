"""The penalty in a user's own PyTorch training loop."""

import re

import numpy as np
import pytest
import torch
from torch import nn

import clusterability
from clusterability.base import files as paths
from clusterability.base.errors import InputError
from clusterability.base.threads import one_thread
from clusterability.clustering.measure import Measurement, measure
from clusterability.graphs.layered import LayeredGraph
from clusterability.penalties.eigenvalues import smallest_eigenpairs
from clusterability.penalties.module import ClusterabilityPenalty
from helpers import random_network


def small_model(seed=0):
    torch.manual_seed(seed)
    layers = [nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 10), nn.ReLU(), nn.Linear(10, 4)]
    return nn.Sequential(*layers)


def test_the_package_offers_the_penalty():
    assert clusterability.ClusterabilityPenalty is ClusterabilityPenalty
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        clusterability.Nonsense  # noqa: B018


def test_the_penalty_is_the_mean_eigenvalue_whether_of_a_model_or_of_its_weights():
    model = small_model()
    weights = [model[i].weight for i in (0, 3, 5)]
    value = ClusterabilityPenalty(3)(model)
    assert value.ndim == 0
    torch.testing.assert_close(ClusterabilityPenalty(3)(weights), value)
    expected = smallest_eigenpairs([weight.detach()[None] for weight in weights], 3).values.mean()
    torch.testing.assert_close(value.detach(), expected)


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_autograd_agrees_with_differences(offset):
    weights = [
        torch.tensor(matrix, requires_grad=True) for matrix in random_network((6, 5, 7, 4), np.random.default_rng(0))
    ]
    assert torch.autograd.gradcheck(lambda *w: ClusterabilityPenalty(3, offset=offset)(list(w)), weights)


def test_the_released_derivative_is_half_of_it():
    gradients = []
    for halved in (False, True):
        model = small_model()
        (5 * ClusterabilityPenalty(2, halved=halved)(model)).backward()
        gradients.append(model[0].weight.grad)
        assert model[0].bias.grad is None
    torch.testing.assert_close(gradients[1], gradients[0] / 2)


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_a_network_without_any_weight_has_a_gradient_of_zero(offset):
    weights = [torch.zeros(6, 5, requires_grad=True), torch.zeros(4, 6, requires_grad=True)]
    value = ClusterabilityPenalty(n_eigenvalues=3, offset=offset)(weights)
    value.backward()
    assert torch.isfinite(value)
    assert not any(weight.grad.any() for weight in weights)


def test_a_penalty_may_go_from_one_model_to_another():
    penalty = ClusterabilityPenalty(3)
    for model in (
        small_model(0),
        small_model(1),
        small_model(0).double(),
        nn.Sequential(nn.Linear(9, 8), nn.Linear(8, 7)),
    ):
        expected = ClusterabilityPenalty(3)(model)
        torch.testing.assert_close(penalty(model), expected, atol=1e-3, rtol=0)


def test_half_precision_weights_get_gradients_of_their_own_type():
    model = small_model().bfloat16()
    ClusterabilityPenalty(2)(model).backward()
    assert model[0].weight.grad.dtype == torch.bfloat16
    assert torch.isfinite(model[0].weight.grad).all()


def test_what_has_no_penalty_is_an_input_error():
    cases = [
        (nn.Sequential(nn.ReLU()), "Sequential has no nn.Linear layer"),
        (nn.Sequential(nn.LazyLinear(5)), "layer '0' has no weights yet"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(4, 4)), "layer '0' is a Conv2d: only nn.Linear"),
        (nn.Sequential(nn.Linear(4, 5), nn.Linear(4, 5)), "layers 0 and 1 do not chain: 5 outputs meet 4 inputs"),
        ([], "no weights"),
        ([torch.ones(3)], r"layer 0 is torch.float32 of shape \(3,\)"),
        ([torch.ones(3, 3, dtype=torch.int64)], "layer 0 is torch.int64"),
        ([torch.full((3, 3), float("nan"))], "layer 0 holds weights that are NaN or infinite"),
        ([torch.ones(3, 3)], "3 eigenvalues asked of layers of 3, 3 neurons: from 1 to 2 can be had"),
    ]
    for model, message in cases:
        with pytest.raises(InputError, match=message):
            ClusterabilityPenalty(3)(model)


def test_options_out_of_range_are_an_input_error():
    cases = [
        ({"n_eigenvalues": 0}, "n_eigenvalues 0"),
        ({"offset": -1.0}, "offset -1"),
        ({"offset": float("inf")}, "offset inf"),
    ]
    for options, message in cases:
        with pytest.raises(InputError, match=message):
            ClusterabilityPenalty(**options)


def documented_example():
    """The example that the book prints."""
    text = (paths.project_root() / "book" / "rerun.md").read_text()
    [example] = [
        block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "ClusterabilityPenalty" in block
    ]
    return example


def test_the_documented_example_makes_a_user_s_network_more_clusterable(digits):
    printed = documented_example()
    assert len(printed.strip().splitlines()) <= 12
    example = printed.replace("100 * len(x)", "30 * len(x)")  # a third of its epochs shows it too
    assert example != printed

    def ncut(source):
        torch.manual_seed(0)
        x, y = map(torch.from_numpy, digits.flat("train"))
        names = {"x": x, "y": y}
        with one_thread():  # small products are slower on several
            exec(source, names)
        with torch.no_grad():
            accuracy = float((names["model"](x).argmax(1) == y).float().mean())
        weights = [layer.weight.detach().numpy() for layer in names["model"] if isinstance(layer, nn.Linear)]
        return measure(LayeredGraph.of(weights), Measurement(n_clusters=4, n_shuffles=0), 0).ncut, accuracy

    plain = re.sub(r" \+ [\d.]+ \* penalty\(model\)", "", example)
    assert plain != example
    with_penalty, accuracy = ncut(example)
    without, plain_accuracy = ncut(plain)
    assert with_penalty < 0.8 * without
    assert accuracy > plain_accuracy - 0.02
