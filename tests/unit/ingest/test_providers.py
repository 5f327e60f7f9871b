"""The list of providers."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipelines.config import ROOT, Settings
from pipelines.contracts.columns import Kind
from pipelines.errors import ConfigError
from pipelines.ingest import providers
from pipelines.ingest.files import FilesProvider
from pipelines.ingest.simulator import SimulatorProvider


def test_both_are_there(tmp_path):
    (tmp_path / "x.csv").write_text("t,value\n2021-06-10,1\n")
    (tmp_path / "source.toml").write_text(
        'name = "mine"\n[[file]]\npath = "x.csv"\nkind = "indicators"\nconstants = { name = "x" }\ntime = "t"\n'
        'available = "next_day"\n')
    assert isinstance(providers.create("simulator", Settings()), SimulatorProvider)
    files = providers.create("files", Settings(data_dir=tmp_path))
    assert isinstance(files, FilesProvider)
    assert files.kinds() == {Kind.INDICATORS}


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match="no source 'bloomberg'; there are: simulator, files"):
        providers.create("bloomberg", Settings())


def test_the_list_itself_loads_no_provider():
    code = ("import sys, pipelines.ingest.providers; "
            "assert not {'scipy', 'pyarrow.parquet', 'pipelines.ingest.simulator', 'pipelines.ingest.files'} "
            "& set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
