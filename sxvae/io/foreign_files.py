"""What people's files are that images are not read from, and what to do with each."""

from __future__ import annotations

from pathlib import Path

from sxvae.config import ARRAY_SUFFIXES

_SAVE = "save the images with numpy.savez('images.npz', x=images, y=labels)"
_UNPACK = "is an archive: unpack it, and name the folder or file inside"
_PICTURE = "is a single picture: name the folder that holds all of them"

_DESCRIPTIONS: dict[str, str] = {
    **dict.fromkeys(
        (".pt", ".pth", ".ckpt"),
        f"is a pickled file of PyTorch, which is never loaded: open it with torch.load and {_SAVE}",
    ),
    **dict.fromkeys(
        (".pkl", ".pickle", ".joblib"),
        f"is a pickle, which can run any code and is never loaded: open it yourself and {_SAVE}",
    ),
    ".mat": f"is a file of MATLAB: open it with scipy.io.loadmat and {_SAVE}",
    **dict.fromkeys(
        (".h5", ".hdf5", ".hdf", ".he5"), f"is a file of HDF5: open it with h5py and {_SAVE}"
    ),
    **dict.fromkeys(
        (".csv", ".tsv", ".txt", ".amat"),
        "is a table of text: open it with numpy.loadtxt, reshape each row to an image, and "
        f"{_SAVE}",
    ),
    **dict.fromkeys(
        (".parquet", ".feather", ".arrow"),
        f"is a table of Arrow: open it with pandas or datasets, turn it into arrays, and {_SAVE}",
    ),
    **dict.fromkeys(
        (".tfrecord", ".tfrecords"), f"is a file of TensorFlow: open it there and {_SAVE}"
    ),
    **dict.fromkeys(
        (".json", ".jsonl"), f"is JSON: turn its numbers into a NumPy array and {_SAVE}"
    ),
    **dict.fromkeys((".tar", ".tgz", ".zip", ".7z", ".rar", ".gz", ".bz2", ".xz", ".zst"), _UNPACK),
    **dict.fromkeys(
        (".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".tif", ".tiff", ".gif", ".bmp", ".webp"),
        _PICTURE,
    ),
    **dict.fromkeys(
        (".dcm", ".nii"), f"is a medical image: open it with pydicom or nibabel and {_SAVE}"
    ),
}
_MATLAB_OF_HDF5 = (
    f"is a file of MATLAB 7.3, which is HDF5: open it with h5py, transpose its arrays, and {_SAVE}"
)


def description(path: Path) -> str | None:
    """What a file with a known suffix is and what to do, to follow its path; None for others."""
    name = path.name.lower()
    if name.endswith(("-ubyte", "-ubyte.gz", ".idx")):
        return (
            "is a file of MNIST's kind: name the data set mnist, fashion-mnist or kmnist, and with "
            "--data-dir the folder of its files"
        )
    suffix = path.suffix.lower()
    if suffix == ".mat" and _begins_with(path, b"MATLAB 7.3"):
        return _MATLAB_OF_HDF5
    return _DESCRIPTIONS.get(suffix)


def refusal(path: Path) -> str:
    """The sentence that refuses a file that no arrays are read from."""
    described = description(path)
    if described is not None:
        return f"{path} {described}"
    return (
        f"{path} is none of what images are read from: {', '.join(ARRAY_SUFFIXES)}, or for "
        "training a folder of image files"
    )


def _begins_with(path: Path, start: bytes) -> bool:
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False
