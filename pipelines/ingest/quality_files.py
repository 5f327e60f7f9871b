"""Where the data-quality reports lie: ``<root>/<source>/<window>[_<part>].json`` and ``.html``.

Names come from sources, symbols and links, so each is reduced to, or has to match, one strict pattern.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from pipelines.contracts.window import Window
from pipelines.errors import StoreError
from pipelines.ingest import quality_page

if TYPE_CHECKING:
    from pipelines.ingest.quality_report import Report

#: Below the root: reports of stretches that somebody asked for, beside those of the loads.
BY_HAND = "by-hand"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,149}\Z")
_PAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,149}\.(html|json)\Z")
_UNSAFE = re.compile(r"[^A-Za-z0-9_+-]+")


def write(root: Path, report: Report) -> Path:
    """Write both files, each at once or not at all; the page's path. Writing the same again changes nothing.

    Raises:
        StoreError: they cannot be written.
    """
    name = window_name(report.window) + (f"_{_safe(report.part)}" if report.part else "")
    page = root / _safe(report.source) / f"{name[:140]}.html"
    document = report.to_dict()
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        _replace(page.with_suffix(".json"), json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        _replace(page, quality_page.render(document))
    except OSError as error:
        raise StoreError(f"the data-quality report cannot be written to {page.parent} ({error}); make it writable, the "
                         "facts themselves are stored") from error
    return page


def find(root: Path, source: str, page: str) -> Path | None:
    """The file that a link names, or None: nothing outside of ``root`` can be asked for."""
    if not (_NAME.match(source) and _PAGE.match(page)):
        return None
    path = (root / source / page).resolve()
    return path if path.is_relative_to(root.resolve()) and path.is_file() else None


def window_name(window: Window) -> str:
    """``2024-03-01`` for a UTC day, else ``20240301T000000Z+20240401T000000Z``."""
    if "/" not in window.key:
        return window.key
    return "+".join(at.strftime("%Y%m%dT%H%M%S") + (f"{at.microsecond:06d}" if at.microsecond else "") + "Z"
                    for at in (window.start, window.end))


def _safe(name: str) -> str:
    text = _UNSAFE.sub("-", name.replace(",", "+")).lstrip("_+-")
    return text[:100] or "unnamed"


def _replace(path: Path, content: str) -> None:
    # Lone surrogates of a hostile feed are no UTF-8.
    with NamedTemporaryFile("wb", dir=path.parent, prefix=".", suffix=".part", delete=False) as file:
        file.write(content.encode("utf-8", "replace"))
    Path(file.name).chmod(0o644)
    os.replace(file.name, path)
