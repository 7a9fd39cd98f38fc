"""What every room uses costs no waiting, and leaves things as they were."""

import subprocess
import sys

import torch

from clusterability.base.errors import reason
from clusterability.base.threads import one_thread


def test_nothing_in_base_imports_pytorch_before_it_is_needed():
    modules = ["errors", "files", "statistics", "threads", "torchvision"]
    imports = "; ".join(f"import clusterability.base.{name}" for name in modules)
    script = f"{imports}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_stored_rows_are_read_without_what_trains_and_clusters():
    script = """
import sys
from clusterability import MLP, Measurement, Page, Training, mean, recipes, report, untrained_grid
report.strips
network = MLP((784, *[256] * 4, 10))
runs = untrained_grid(recipes("untrained", ["Control"]), 2, network, measurement=Measurement(12, 0), seed=0)
assert len(Page("random-init").rows(runs)) == 2
sys.exit(bool({"torch", "numba"} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_one_thread_is_given_back():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
        assert not torch.tensor(1e-40) * 1.0
    assert torch.get_num_threads() == before
    assert torch.tensor(1e-40) * 1.0


def test_a_failure_is_told_by_its_first_line_or_its_kind():
    assert reason(OSError("no route\nto host")) == "no route"
    assert reason(KeyError()) == "KeyError"
