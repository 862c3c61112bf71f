"""pydicom must not quote patients."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from pytest_medgan.ct.headers import read_headers
from pytest_medgan.ct.quiet import quiet_pydicom


def test_read_headers_quotes_no_value_that_pydicom_complains_about(
    tmp_path: Path, study_class: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def change(dataset: Dataset, index: int) -> None:
        dataset.SpecificCharacterSet = "ISO_IR 100"

    study = study_class(tmp_path, slices=1, change=change).write()
    study.files[0].write_bytes(study.files[0].read_bytes().replace(b"ISO_IR 100", b"Doe^Jane 7"))
    caplog.set_level(logging.DEBUG)
    with pytest.warns(UserWarning, match="Doe.Jane"):  # what it would say
        str(dcmread(study.files[0]).PatientName)
    caplog.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_headers(tmp_path, study.files[0].relative_to(tmp_path).as_posix())
    assert caplog.text == ""


def test_quiet_pydicom_restores_the_logger() -> None:
    logger = logging.getLogger("pydicom")
    with quiet_pydicom():
        assert logger.disabled
    assert not logger.disabled
