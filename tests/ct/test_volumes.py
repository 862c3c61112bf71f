"""NIfTI, NRRD and MetaImage volumes give the same slices as DICOM."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_medgan.ct import load_real
from pytest_medgan.ct.load import prepare
from pytest_medgan.ct.volumes import open_volume, read_plane
from pytest_medgan.errors import DataError
from pytest_medgan.records import DataSettings

Small = Callable[..., DataSettings]


def body(seed: int = 0) -> np.ndarray:
    """Return float64 [head,back,left]: the value of a voxel follows from its position; some voxels are air."""
    head, back, left = np.mgrid[:5, :40, :44]
    return np.where(back < 5, -1000.0, head * 50.0 + back * 4.0 - left * 3.0 - seed * 7.0)


def write_nifti(path: Path, volume: np.ndarray, *, axes: str = "LPS") -> None:
    """Write a NIfTI file; `axes` are the directions of the array axes."""
    nibabel = pytest.importorskip("nibabel")
    array, directions = with_axes(volume, axes)
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ directions  # NIfTI counts to the right and to the front
    nibabel.save(nibabel.Nifti1Image(array.astype(np.int16), affine), path)


def write_nrrd(path: Path, volume: np.ndarray, *, axes: str = "LPS") -> None:
    nrrd = pytest.importorskip("nrrd")
    array, directions = with_axes(volume, axes)
    header = {"space": "left-posterior-superior", "space directions": directions.T, "space origin": [0.0, 0.0, 0.0]}
    nrrd.write(str(path), array.astype(np.int16), header)


def with_axes(volume: np.ndarray, axes: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the volume with its axes in the named directions, and these directions (columns) in left, back, head."""
    places = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
    array = volume.transpose(2, 1, 0)  # left, back, head
    chosen = [places[letter] for letter in axes]
    directions = np.zeros((3, 3))
    for at, (place, sign) in enumerate(chosen):
        directions[place, at] = sign
        if sign < 0:
            array = np.flip(array, place)
    return array.transpose([place for place, _ in chosen]), directions


def write_metaimage(path: Path, volume: np.ndarray, *, axes: str = "LPS", compressed: bool = False) -> None:
    """Write a header .mhd and its .raw or .zraw file, or one .mha file, as ITK writes them."""
    array, directions = with_axes(volume, axes)
    values = array.astype("<i2").tobytes(order="F")
    content = zlib.compress(values) if compressed else values
    inside = path.suffix == ".mha"
    data = path.with_suffix(".zraw" if compressed else ".raw")
    fields = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": True,
        "BinaryDataByteOrderMSB": False,
        "CompressedData": compressed,
        "TransformMatrix": " ".join(f"{value:g}" for value in directions.T.ravel()),
        "Offset": "-195 -195 -378",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": "0.7 0.7 2.5",
        "DimSize": " ".join(map(str, array.shape)),
        "ElementType": "MET_SHORT",
        "ElementDataFile": "LOCAL" if inside else data.name,
    }
    head = "".join(f"{key} = {value}\n" for key, value in fields.items()).encode()
    path.write_bytes(head + content if inside else head)
    if not inside:
        data.write_bytes(content)


WRITERS = {"nifti": write_nifti, "nrrd": write_nrrd, "metaimage": write_metaimage}
SUFFIXES = {"nifti": ".nii.gz", "nrrd": ".nrrd", "metaimage": ".mhd"}


def planes(path: Path, kind: str) -> np.ndarray:
    count = len(open_volume(str(path), kind, path.name).values)
    return np.stack([read_plane(path, kind, path.name, index, digest="") for index in range(count)])


@pytest.mark.parametrize("axes", ["LPS", "RAS", "LAI", "PLS", "SRP"])
@pytest.mark.parametrize("kind", WRITERS)
def test_read_plane_of_any_orientation_is_axial(tmp_path: Path, axes: str, kind: str) -> None:
    path = tmp_path / f"{axes}{SUFFIXES[kind]}"
    WRITERS[kind](path, body(), axes=axes)
    assert np.array_equal(planes(path, kind), np.trunc(body()))


def test_load_real_folder_of_volumes_is_split_by_patient(small: Small, tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "p3").mkdir(parents=True)
    for number in range(3):
        write_nifti(root / f"p{number}.nii.gz", body(number))
    write_nrrd(root / "p3" / "ct.nrrd", body(3))
    write_nifti(root / "p3" / "ct_gtv.nii.gz", body(3) > 0)  # a drawing, left out
    prepared = prepare(small(root, slices=3), cache_dir=tmp_path / "cache")
    assert prepared.pixels.shape == (12, 1, 16, 16)
    assert prepared.window == (-1000.0, 400.0)
    assert prepared.counts["volumes"] == 4
    assert prepared.counts["skipped: label map"] == 1
    real = load_real(small(root), cache_dir=tmp_path / "cache")
    assert [len(side) for side in (real.training, real.reference, real.held_out)] == [10, 5, 5]


def mask(path: Path) -> None:
    write_nifti(path, (body() > 0).astype(float))


def oblique(path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    affine = np.eye(4)
    affine[:3, :3] = [[1, 1, 0], [1, -1, 0], [0.9, 0.9, 0.1]]
    nibabel.save(nibabel.Nifti1Image(body().astype(np.int16), affine), path)


def four_dimensional(path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 2), np.int16), np.eye(4)), path)


def broken(path: Path) -> None:
    write_nifti(path, body())
    path.write_bytes(path.read_bytes()[:500])


@pytest.mark.parametrize(
    ("make", "message"),
    [(mask, "holds no air"), (oblique, "oblique"), (four_dimensional, "not one volume"), (broken, "cut off")],
)
def test_load_real_only_unusable_volume_is_refused(
    small: Small, tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    root = tmp_path / "data"
    root.mkdir()
    make(root / "doe.nii")
    with pytest.raises(DataError, match=message) as caught:
        load_real(small(root), cache_dir=tmp_path / "cache")
    assert caught.value.file == "doe.nii"
    assert "doe" not in str(caught.value)


def test_load_real_two_volumes_of_one_patient_are_refused(small: Small, tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    for name in ("x.nii", "y.nii"):
        write_nifti(tmp_path / "data" / "a" / name, body())
    with pytest.raises(DataError, match=r"2 volumes lie in 1 folders\. Set patient=file where"):
        load_real(small(tmp_path / "data"), cache_dir=tmp_path / "cache")


def test_open_volume_without_its_reader_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real_import = builtins.__import__

    def import_without_nibabel(name: str, *rest: Any, **more: Any) -> Any:
        if name == "nibabel":
            raise ImportError(name)
        return real_import(name, *rest, **more)

    write_nifti(tmp_path / "x.nii", body())
    monkeypatch.setattr(builtins, "__import__", import_without_nibabel)
    with pytest.raises(DataError, match=r"Install pytest-medgan\[volumes\]"):
        open_volume(str(tmp_path / "x.nii"), "nifti", "x.nii")
    write_metaimage(tmp_path / "y.mhd", body())
    with pytest.raises(DataError, match=r"Install pytest-medgan\[volumes\]"):  # a missing reader is never passed over
        prepare(DataSettings(source=str(tmp_path), split="slice"), cache_dir=tmp_path / "cache")


def test_prepare_unusable_volume_among_others_is_passed_over(small: Small, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    for number in range(3):
        write_nifti(root / f"p{number}.nii", body(number))
    oblique(root / "q.nii")
    prepared = prepare(small(root), cache_dir=tmp_path / "cache")
    assert prepared.warnings == ("passed over: 1 volume that cannot be used",)
    assert prepared.named["volume that cannot be used"] == ("q.nii",)
    with pytest.raises(DataError, match="oblique") as caught:
        prepare(small(root, strict=True), cache_dir=tmp_path / "cache")
    assert caught.value.file == "q.nii"


def test_read_plane_applies_slope_and_intercept(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    array, directions = with_axes(body(), "LPS")
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ directions
    image = nibabel.Nifti1Image((np.trunc(array) / 2 + 512).astype(np.int16), affine)
    image.header.set_slope_inter(2, -1024)
    nibabel.save(image, tmp_path / "x.nii")
    found = nibabel.load(tmp_path / "x.nii")
    assert np.array_equal(planes(tmp_path / "x.nii", "nifti"), found.get_fdata().transpose(2, 1, 0))


def test_prepare_reads_a_volume_again_that_was_replaced_meanwhile(small: Small, tmp_path: Path) -> None:
    """The last volume stays open; its planes must not be stored under the name of another content."""
    root = tmp_path / "data"
    root.mkdir()
    settings = small(root, split="slice", size=16)
    made = []
    for seed in range(2):
        write_nifti(root / "x.nii.gz", body(9 * seed))
        made.append(prepare(settings, cache_dir=tmp_path / "cache"))
    write_nifti(tmp_path / "data" / "x.nii.gz", body(9))
    anew = prepare(settings, cache_dir=tmp_path / "other")
    assert made[0].digest != made[1].digest
    assert np.array_equal(made[1].pixels, anew.pixels)
    assert not np.array_equal(made[0].pixels, made[1].pixels)


def test_prepare_fourth_axis_of_length_one_is_dropped(small: Small, tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    root = tmp_path / "data"
    root.mkdir()
    array, directions = with_axes(body(), "LPS")
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1]) @ directions
    nibabel.save(nibabel.Nifti1Image(array.astype(np.int16)[..., None], affine), root / "x.nii.gz")
    write_nrrd(root / "y.nrrd", body())
    assert np.array_equal(planes(root / "x.nii.gz", "nifti"), np.trunc(body()))
    assert len(prepare(small(root, split="slice"), cache_dir=tmp_path / "cache").pixels) == 10


@pytest.mark.parametrize("kind", WRITERS)
def test_prepare_missing_orientation_is_warned_of_once(small: Small, tmp_path: Path, kind: str) -> None:
    root = tmp_path / "data"
    root.mkdir()
    for number in range(3):
        path = root / f"p{number}{SUFFIXES[kind]}"
        if kind == "nifti":
            nibabel = pytest.importorskip("nibabel")
            image = nibabel.Nifti1Image(body(number).transpose(2, 1, 0).astype(np.int16), None)
            assert (image.header["sform_code"], image.header["qform_code"]) == (0, 0)
            nibabel.save(image, path)
        elif kind == "nrrd":
            nrrd = pytest.importorskip("nrrd")
            nrrd.write(str(path), body(number).transpose(2, 1, 0).astype(np.int16), {"spacings": [1.0, 1.0, 1.0]})
        else:
            write_metaimage(path, body(number))
            lines = [line for line in path.read_bytes().splitlines(True) if not line.startswith(b"TransformMatrix")]
            path.write_bytes(b"".join(lines))
    warnings = prepare(small(root), cache_dir=tmp_path / "cache").warnings
    second = "front" if kind == "nifti" else "back"  # as nibabel takes it, and as the other formats' world axes run
    assert warnings == (f"3 volumes have no orientation: their axes are taken as left, {second} and head",)


@pytest.mark.parametrize(("suffix", "compressed"), [(".mhd", False), (".mhd", True), (".mha", False), (".mha", True)])
def test_read_metaimage_in_each_form_gives_the_same_planes(tmp_path: Path, suffix: str, compressed: bool) -> None:
    path = tmp_path / f"x{suffix}"
    write_metaimage(path, body(), axes="LAI", compressed=compressed)
    assert np.array_equal(planes(path, "metaimage"), np.trunc(body()))


def test_read_metaimage_equals_what_itk_reads(tmp_path: Path) -> None:
    itk = pytest.importorskip("SimpleITK")
    array, directions = with_axes(body(), "PLS")
    image = itk.GetImageFromArray(array.astype(np.int16).transpose(2, 1, 0))
    image.SetDirection(directions.ravel())
    itk.WriteImage(image, str(tmp_path / "x.mhd"), useCompression=True)
    assert np.array_equal(planes(tmp_path / "x.mhd", "metaimage"), np.trunc(body()))


def test_prepare_metaimage_with_separate_value_files_counts_headers_only(small: Small, tmp_path: Path) -> None:
    """LUNA16: folders of scans named by their series, with headers and values in separate files."""
    root = tmp_path / "subset0"
    root.mkdir()
    for number in range(4):
        write_metaimage(root / f"1.3.6.1.4.1.14519.5.2.1.6279.6001.{number}.mhd", body(number))
    (tmp_path / "annotations.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n1.3,1,2,3,4\n")
    prepared = prepare(small(root, patient="file"), cache_dir=tmp_path / "cache")
    assert (prepared.counts["volumes"], prepared.counts["patients"]) == (4, 4)
    assert prepared.named == {"patients are identified by": ("the files' names",)}
    first = next(root.glob("*.raw"))
    first.write_bytes(first.read_bytes()[:-2] + b"zz")
    assert prepare(small(root, patient="file"), cache_dir=tmp_path / "cache").digest != prepared.digest


@pytest.mark.parametrize("named", ["../../secret.raw", "/etc/passwd", "..", "sub/x.raw"])
@pytest.mark.parametrize("kind", ["metaimage", "nrrd"])
def test_open_volume_header_naming_a_file_in_another_folder_is_refused(tmp_path: Path, kind: str, named: str) -> None:
    path = tmp_path / f"x{SUFFIXES[kind]}"
    if kind == "metaimage":
        write_metaimage(path, body())
        path.write_bytes(path.read_bytes().replace(b"ElementDataFile = x.raw", f"ElementDataFile = {named}".encode()))
    else:
        pytest.importorskip("nrrd")
        path.write_text(f"NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\nencoding: raw\ndata file: {named}\n\n")
    with pytest.raises(DataError, match="in another folder"):
        open_volume(str(path), kind, path.name)


@pytest.mark.parametrize("kind", WRITERS)
def test_open_volume_header_with_huge_dimensions_allocates_nothing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x{SUFFIXES[kind]}"
    WRITERS[kind](path, body())
    if kind == "nifti":
        raw = bytearray(gzip.decompress(path.read_bytes()))
        raw[42:48] = struct.pack("<3h", 30000, 30000, 30000)
        path.write_bytes(gzip.compress(bytes(raw)))
    elif kind == "nrrd":
        path.write_bytes(path.read_bytes().replace(b"sizes: 44 40 5", b"sizes: 90000 90000 90000"))
    else:
        path.write_bytes(path.read_bytes().replace(b"DimSize = 44 40 5", b"DimSize = 90000 90000 90000"))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"unpacks to over|more than the file holds"):
            open_volume(str(path), kind, path.name)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["nrrd", "metaimage"])
def test_open_volume_unpacks_no_more_than_it_needs(tmp_path: Path, kind: str) -> None:
    """The compressed data continue for 128 MiB after the last voxel of the volume."""
    path = tmp_path / f"x{SUFFIXES[kind]}"
    too_long = zlib.compress(np.trunc(with_axes(body(), "LPS")[0]).astype("<i2").tobytes(order="F") + bytes(1 << 27))
    if kind == "metaimage":
        write_metaimage(path, body(), compressed=True)
        path.with_suffix(".zraw").write_bytes(too_long)
    else:
        write_nrrd(path, body())
        head = path.read_bytes().partition(b"\n\n")[0]
        path.write_bytes(head + b"\n\n" + too_long)
    tracemalloc.start()
    try:
        assert np.array_equal(planes(path, kind), np.trunc(body()))
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


def test_prepare_decathlon_layout_takes_each_file_as_a_patient(small: Small, tmp_path: Path) -> None:
    """Task06_Lung of the Medical Segmentation Decathlon: imagesTr, labelsTr, imagesTs, resource forks, dataset.json."""
    root = tmp_path / "Task06_Lung"
    for folder, numbers in (("imagesTr", range(4)), ("labelsTr", range(4)), ("imagesTs", range(4, 6))):
        (root / folder).mkdir(parents=True)
        for number in numbers:
            values = body(number) if folder.startswith("images") else (body(number) > 60).astype(float)
            write_nifti(root / folder / f"lung_{number:03d}.nii.gz", values)
            (root / folder / f"._lung_{number:03d}.nii.gz").write_bytes(b"\0\5\x16\7")
    (root / "dataset.json").write_text("{}")
    prepared = prepare(small(root), cache_dir=tmp_path / "cache")
    assert (prepared.counts["volumes"], prepared.counts["patients"]) == (6, 6)
    assert prepared.counts["skipped: label map"] == 4
    assert prepared.named["file of another kind"] == ("dataset.json",)


def test_prepare_totalsegmentator_layout_reads_no_segmentation(small: Small, tmp_path: Path) -> None:
    root = tmp_path / "Totalsegmentator_dataset"
    for number in range(3):
        folder = root / f"s{number:04d}"
        (folder / "segmentations").mkdir(parents=True)
        write_nifti(folder / "ct.nii.gz", body(number))
        for organ in ("heart", "lung_upper_lobe_left"):
            (folder / "segmentations" / f"{organ}.nii.gz").write_bytes(b"\x1f\x8bnot even read")
    (root / "meta.csv").write_text("image_id;age;gender\ns0000;60;m\n")
    prepared = prepare(small(root, strict=True), cache_dir=tmp_path / "cache")
    assert (prepared.counts["patients"], prepared.counts["skipped: label map"]) == (3, 6)
