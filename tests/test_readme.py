"""What the README says is so: its numbers, its places, its example."""

import re
import runpy
import subprocess
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf8")
FRONT = README.split("## Reference")[0]
ROOMS = dict(re.findall(r"^\| `(\w+)/` \| .* \| ((?:`\w+` ?)+) \|$", FRONT, re.M))
LIBRARY = ROOT / "lib" / "clusterability"


def test_its_first_part_is_short():
    assert len(FRONT.splitlines()) <= 60


def test_its_numbers_are_those_of_the_stored_rows():
    table = runpy.run_path(str(ROOT / "tools" / "readme_table.py"))["main"]()
    assert len(table.splitlines()) == 2 + 5
    assert f"\n{table}\n" in FRONT


def test_every_room_is_in_its_table():
    assert set(ROOMS) == {path.parent.name for path in LIBRARY.glob("*/__init__.py")}


def test_a_rooms_files_are_in_its_table():
    for room in ROOMS:
        files = {path.stem for path in (LIBRARY / room).glob("*.py")} - {"__init__"}
        assert sorted(ROOMS[room].replace("`", "").split()) == sorted(files)


def test_links_lead_somewhere():
    for name in ["README.md", "CONTRIBUTING.md"]:
        links = re.findall(r"\]\(([^)#]+)\)", (ROOT / name).read_text(encoding="utf8"))
        assert links
        assert not [link for link in links if not link.startswith("https://") and not (ROOT / link).exists()]


def test_commands_of_make_exist():
    for name in ["README.md", "CONTRIBUTING.md", "book/rerun.md"]:
        named = re.findall(r"(?:`|^)make ([a-z]+)", (ROOT / name).read_text(encoding="utf8"), re.M)
        assert named
        for target in set(named):
            plan = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
            assert plan.returncode == 0, plan.stderr


def test_the_benchmark_of_its_speeds_still_fits_the_library():
    benchmark = runpy.run_path(str(ROOT / "benchmarks" / "speed.py"), run_name="benchmark")
    kept, _ = benchmark["LayeredGraph"].of(benchmark["random_network"](0.9)).without_isolated()
    assert kept.n_vertices > 1500
    benchmark["training"](1, 1, benchmark["random_dataset"](256))


def test_its_example_runs(in_folder):
    rng = np.random.default_rng(0)
    np.savez("my-network.npz", layer0=rng.normal(size=(30, 20)), layer1=rng.normal(size=(10, 30)))
    (example,) = re.findall(r"```python\n(.*?)```", README, re.S)
    found = {}
    exec(example, found)
    assert found["result"].n_vertices == 60
    assert len(found["result"].shuffled_ncuts) == 50
