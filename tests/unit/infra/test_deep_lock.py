from __future__ import annotations

from pathlib import Path

import pytest

from infra import deep_lock

ROOT = Path(__file__).resolve().parents[3]
LOCK = "numpy==2.4.1 \\\n    --hash=sha256:aa\n"
RESOLVED = LOCK + """\
nvidia-cublas==13.1 ; sys_platform == 'linux' \\
    --hash=sha256:bb
safetensors==0.8.0 \\
    --hash=sha256:cc
torch==2.13.0 \\
    --hash=sha256:dd \\
    --hash=sha256:ee
triton==3.9.0 \\
    --hash=sha256:ff
"""


def test_only_what_the_extra_adds_stays_and_linux_gets_the_cpu_build() -> None:
    one, two, three = deep_lock.CPU_BUILDS["2.13.0"]
    assert deep_lock.added(RESOLVED, LOCK) == f"""\
safetensors==0.8.0 \\
    --hash=sha256:cc
torch==2.13.0+cpu ; sys_platform == 'linux' \\
    --hash=sha256:{one} \\
    --hash=sha256:{two} \\
    --hash=sha256:{three}
torch==2.13.0 ; sys_platform != 'linux' \\
    --hash=sha256:dd \\
    --hash=sha256:ee
"""
    with pytest.raises(KeyError):
        deep_lock.added(RESOLVED.replace("2.13.0", "2.14.0"), LOCK)


def test_the_two_locks_do_not_name_the_same_package() -> None:
    """One is installed on top of the other without looking at dependencies."""
    main, deep = ((ROOT / name).read_text(encoding="utf-8") for name in ("requirements.lock", "requirements-deep.lock"))
    names = [{line.split("==")[0] for line in lock.splitlines() if "==" in line and line[0].isalpha()}
             for lock in (main, deep)]
    assert not names[0] & names[1]
    assert {"torch", "safetensors", "sympy", "networkx", "mpmath"} == names[1]
    assert {"filelock", "fsspec", "jinja2", "typing-extensions", "setuptools"} <= names[0]
