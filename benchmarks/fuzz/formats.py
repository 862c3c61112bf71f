"""The formats: how a sound sample of each is written, and how medgan reads it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.fuzz.kinds import Format, Pixels, Seen
from benchmarks.fuzz.mutations import (
    Mutation,
    in_dicom,
    in_gzip,
    in_json,
    in_png,
    in_safetensors,
    in_text,
    in_zip,
    raw,
)

ROOT = Path(__file__).resolve().parents[2]


# Images of real patients -------------------------------------------------------------------------------------------


def _prepare(source: Path, **changes: Any) -> Seen:
    from pytest_medgan.ct.crew import Crew
    from pytest_medgan.evaluate.sources import prepare
    from pytest_medgan.records import DataSettings

    if not hasattr(Crew, "_kept_apart"):
        # decoders run in a process of their own, started anew by each run; a case is already read in one
        Crew._kept_apart = Crew.map
        Crew.map = lambda self, *given, apart=False, **named: self._kept_apart(*given, **named)
    cache = Path(tempfile.mkdtemp(dir=source.parent))
    try:
        settings = DataSettings(**{"source": str(source), "crop_size": 32, "size": 32, "slices": None} | changes)
        made = prepare(settings, cache_dir=cache)
    finally:
        shutil.rmtree(cache)
    owners = np.unique(made.groups, return_inverse=True)[1]  # a pseudonym may be drawn from the files' content
    firsts = [owners.tolist().index(owner) for owner in owners]
    facts = (firsts, made.labels.tolist(), made.window, made.settings)
    return Seen(made.pixels[:, 0], facts, (made.warnings, made.counts))


def _write_studies(folder: Path, syntaxes: tuple[str, ...] = ("", "", "")) -> list[Any]:
    """Three patients of six slices with a tumour each, in an encoding of their own."""
    from pydicom import dcmread
    from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

    from tests.ct.conftest import Study

    known = {"implicit": ImplicitVRLittleEndian, "deflated": DeflatedExplicitVRLittleEndian, "rle": RLELossless}
    studies = []
    for number, syntax in enumerate(syntaxes, start=1):
        study = Study(folder, f"PAT-{number:03d}").write()
        for path in study.files:
            dataset = dcmread(path)
            if syntax == "rle":
                dataset.compress(RLELossless, generate_instance_uid=False)
            elif syntax:
                dataset.file_meta.TransferSyntaxUID = known[syntax]
            dataset.save_as(path)
        studies.append(study)
    return studies


def _write_drawn(folder: Path) -> None:
    for study in _write_studies(folder, ("", "implicit", "deflated")):
        study.draw({"GTV-1": dict.fromkeys((2, 3), (20, 25, 30, 41)), "Lung": {1: (5, 5, 50, 50)}})


def _write_segmented(folder: Path) -> None:
    from tests.ct.test_segmentation import example_masks, write_segmentation

    for study in _write_studies(folder):
        write_segmentation(study, example_masks(6))


def _write_compressed(folder: Path) -> None:
    _write_studies(folder, ("rle", "rle"))


def _pictures() -> list[tuple[str, Pixels]]:
    """Name and picture of two images for each of three patients."""
    row, column = np.mgrid[:40, :40]
    made = []
    for patient in range(3):
        for number in range(2):
            disc = (row - 20) ** 2 + (column - 18 - patient) ** 2 < (12 + number) ** 2
            grain = (row * 7 + column * 13 + patient * 31 + number * 5) % 23
            made.append((f"PAT-{patient}/{number}", np.where(disc, 120 + grain, 20).astype(np.uint8)))
    return made


def _write_pictures(suffix: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        from PIL import Image

        for name, picture in _pictures():
            path = folder / f"{name}{suffix}"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture).save(path)

    return write


def _write_arrays(folder: Path) -> None:
    np.save(folder / "set.npy", np.stack([picture for _, picture in _pictures()]))


def _write_npz(folder: Path) -> None:
    """A prepared file, as `medgan prepare --out` writes it."""
    from pytest_medgan.ct.store import save_prepared
    from pytest_medgan.evaluate.sources import prepare
    from pytest_medgan.records import DataSettings

    with tempfile.TemporaryDirectory() as work:
        source = Path(work, "source")
        source.mkdir()
        _write_pictures(".png")(source)
        settings = DataSettings(source=str(source), crop_size=32, size=32, slices=None)
        save_prepared(folder / "set.npz", prepare(settings, cache_dir=Path(work, "cache")))


def _write_plain_npz(folder: Path) -> None:
    names, pictures = zip(*_pictures(), strict=True)
    patients = np.array([name.partition("/")[0] for name in names])
    np.savez_compressed(folder / "set.npz", pixels=np.stack(pictures), patient=patients)


def _volumes() -> list[npt.NDArray[np.int16]]:
    """HU [x,y,z] of three patients."""
    x, y, z = np.mgrid[:40, :40, :6]
    disc = (x - 20) ** 2 + (y - 20) ** 2 < 15**2
    return [np.where(disc, (x * 7 + y * 13 + z * 31 + patient) % 97, -1000).astype(np.int16) for patient in range(3)]


def _write_nifti(suffix: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        import nibabel

        for patient, volume in enumerate(_volumes()):
            path = folder / f"PAT-{patient}" / f"ct{suffix}"
            path.parent.mkdir()
            nibabel.Nifti1Image(volume, np.diag([-1.0, -1.0, 3.0, 1.0])).to_filename(path)

    return write


def _write_nrrd(folder: Path) -> None:
    import nrrd

    for patient, volume in enumerate(_volumes()):
        path = folder / f"PAT-{patient}" / "ct.nrrd"
        path.parent.mkdir()
        header = {"space": "left-posterior-superior", "space directions": np.diag([1.0, 1.0, 3.0])}
        nrrd.write(str(path), volume, header | {"space origin": [0.0, 0.0, 0.0]})


def _write_metaimage(folder: Path) -> None:
    for patient, volume in enumerate(_volumes()):
        path = folder / f"PAT-{patient}" / "ct.mhd"
        path.parent.mkdir()
        path.with_suffix(".raw").write_bytes(volume.transpose(2, 1, 0).astype("<i2").tobytes())
        path.write_text(
            "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
            "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 1 1 3\nDimSize = 40 40 6\n"
            "ElementType = MET_SHORT\nElementDataFile = ct.raw\n"
        )


# Generators --------------------------------------------------------------------------------------------------------


def _generate(folder: Path) -> Seen:
    from pytest_medgan.gan import load_generator
    from pytest_medgan.gan.archives import from_archive
    from pytest_medgan.gan.onnx_files import from_onnx

    (path,) = (path for path in folder.iterdir() if path.is_file())
    # exported models in this process, where a crash, a hang and memory are seen
    here = {".pt": from_archive, ".pt2": from_archive, ".onnx": from_onnx}.get(path.suffix)
    generator = here(path) if here else load_generator(str(path))
    return Seen(np.asarray(generator(2, 0))[:, 0], (generator.window, generator.training_recipe))


def _write_checkpoint(folder: Path) -> None:
    shutil.copy(ROOT / "fixtures" / "dcgan_collapsed.safetensors", folder / "model.safetensors")


def _write_traced(folder: Path) -> None:
    from tests.gan.test_loading import Draws, script

    script(Draws(), folder / "model-z12.pt")


def _write_exported(folder: Path) -> None:
    from tests.gan.test_loading import Draws, export

    export(Draws(), folder / "model.pt2")


def _write_onnx(folder: Path) -> None:
    from tests.gan.test_onnx_files import graph, onnx

    onnx.save(graph(), str(folder / "model.onnx"))


# What medgan wrote itself ------------------------------------------------------------------------------------------


def _write_baseline(folder: Path) -> None:
    shutil.copy(ROOT / "baselines" / "phantom.yaml", folder / "baseline.yaml")


def _read_baseline(folder: Path) -> Seen:
    from pytest_medgan.gate import baseline

    return Seen(facts=repr(baseline.load(folder / "baseline.yaml").document))


def _write_run(folder: Path) -> None:
    from pytest_medgan.records import Evidence
    from pytest_medgan.report.folder import from_dict, write_run

    run = from_dict(json.loads((ROOT / "tests" / "report" / "golden" / "scores.json").read_text(encoding="utf-8")))
    pixels = np.stack([picture for _, picture in _pictures()])
    evidence = Evidence(thumbnails_fake=pixels, thumbnail_fake_index=np.arange(len(pixels)))
    write_run(folder, run, {run.models[0].name: evidence})


def _read_run(folder: Path) -> Seen:
    from pytest_medgan.report import render

    before = set(folder.iterdir())
    try:
        return Seen(facts=[page.read_text(encoding="utf-8") for page in render(folder, ["html", "md"])])
    finally:
        for path in set(folder.iterdir()) - before:
            path.unlink()


def _write_answers(folder: Path) -> None:
    from pytest_medgan.turing import SCHEMA, SCHEMA_VERSION, write_key
    from tests.turing.conftest import KEY

    write_key(folder / "page.key.json", KEY)
    for reader in ("A", "B"):
        answers = [
            {"image": i, "answer": "real" if i % 3 else "generated", "confidence": 3, "seconds": 2.0 + i}
            for i in range(20)
        ]
        content = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "page": KEY.page, "count": len(KEY.images)}
        content |= {"commitment": KEY.commitment, "reader": reader, "answers": answers}
        (folder / f"{reader}.json").write_text(json.dumps(content), encoding="utf-8")


def _read_answers(folder: Path) -> Seen:
    from pytest_medgan.turing import turing_accuracy

    return Seen(facts=repr(turing_accuracy([folder / "A.json", folder / "B.json"])))


def _real(write: Callable[[Path], None], damaged: str, *mutations: Mutation, weight: int = 1, **changes: Any) -> Format:
    return Format(write, lambda folder: _prepare(folder, **changes), damaged, mutations, weight)


def _prepared_file(folder: Path) -> Seen:
    return _prepare(folder / "set.npz")


def _array_file(folder: Path) -> Seen:
    return _prepare(folder / "set.npy", split="slice")


FORMATS = {
    "DICOM": _real(_write_drawn, "PAT-*/study/series/*.dcm", raw, in_dicom, weight=4),
    "DICOM, RLE": _real(_write_compressed, "PAT-*/study/series/*.dcm", raw),
    "RTSTRUCT": _real(_write_drawn, "PAT-*/study/structures/*.dcm", raw, in_dicom, weight=2),
    "SEG": _real(_write_segmented, "PAT-*/seg.dcm", raw, in_dicom, weight=2),
    "npy": Format(_write_arrays, _array_file, "set.npy", (raw,)),
    "npz": Format(_write_npz, _prepared_file, "set.npz", (raw, in_zip), 2),
    "npz, foreign": Format(_write_plain_npz, _prepared_file, "set.npz", (raw, in_zip)),
    "png": _real(_write_pictures(".png"), "*/*.png", raw, in_png),
    "tiff": _real(_write_pictures(".tif"), "*/*.tif", raw),
    "jpeg": _real(_write_pictures(".jpg"), "*/*.jpg", raw),
    "nifti": _real(_write_nifti(".nii"), "*/ct.nii", raw),
    "nifti, packed": _real(_write_nifti(".nii.gz"), "*/ct.nii.gz", raw, in_gzip),
    "nrrd": _real(_write_nrrd, "*/ct.nrrd", raw),
    "mhd": _real(_write_metaimage, "*/ct.mhd", raw, in_text),
    "safetensors": Format(_write_checkpoint, _generate, "*.safetensors", (raw, in_safetensors)),
    "TorchScript": Format(_write_traced, _generate, "*.pt", (raw, in_zip)),
    "torch.export": Format(_write_exported, _generate, "*.pt2", (raw, in_zip)),
    "ONNX": Format(_write_onnx, _generate, "*.onnx", (raw,)),
    "baseline": Format(_write_baseline, _read_baseline, "baseline.yaml", (raw, in_text), 2),
    "scores.json": Format(_write_run, _read_run, "scores.json", (raw, in_json), 2),
    "evidence": Format(_write_run, _read_run, "evidence-*.npz", (raw, in_zip)),
    "Turing answers": Format(_write_answers, _read_answers, "*.json", (raw, in_json)),
}
