"""pydicom quotes values and file names in warnings and log lines; patients' names must not get there."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import config


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom from warning and logging while it reads; what matters is checked and raised by this package."""
    logger = logging.getLogger("pydicom")
    before, mode = logger.disabled, config.settings.reading_validation_mode
    logger.disabled = True
    config.settings.reading_validation_mode = config.IGNORE  # it would only warn
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before
        config.settings.reading_validation_mode = mode
