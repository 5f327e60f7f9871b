"""``make lock``: from the resolved extra ``deep`` on stdin, what it adds to ``requirements.lock``, on stdout.

Left out is what a CPU needs none of: CUDA and Triton, which PyPI's build of PyTorch for Linux asks for. For Linux
PyTorch's own CPU build takes its place (a fifth of the size); it is not on PyPI and so not in the resolution.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

#: Version of PyTorch → SHA-256 of ``torch-<version>+cpu-cp3xx-cp3xx-manylinux_2_28_x86_64.whl`` for Python 3.11, 3.12
#: and 3.13, from https://download.pytorch.org/whl/cpu. A new version needs new ones.
CPU_BUILDS = {"2.13.0": ("6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",
                         "4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2",
                         "3fbf9c9d1f3c10c2d59d04aca426dee9ccc6ceb32d255c61e93acc3b4f75fae6")}
_FOR_GPUS = ("nvidia-", "cuda-", "triton")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", flags=re.MULTILINE)


def added(resolved: str, lock: str) -> str:
    """The pins of ``resolved`` that ``lock`` does not hold; on Linux PyTorch's CPU build.

    Raises:
        KeyError: nobody has looked up the CPU builds of this version.
    """
    there = {name for name, _ in _PIN.findall(lock)}
    kept = []
    for block in re.split(r"^(?=\S)", resolved, flags=re.MULTILINE):
        found = _PIN.match(block)
        if found is None or found[1] in there or found[1].startswith(_FOR_GPUS):
            continue
        if found[1] == "torch":
            digests = "".join(f" \\\n    --hash=sha256:{digest}" for digest in CPU_BUILDS[found[2]])
            kept.append(f"torch=={found[2]}+cpu ; sys_platform == 'linux'{digests}\n")
            block = block.replace(found[0], f"{found[0]} ; sys_platform != 'linux'", 1)
        kept.append(block.rstrip() + "\n")
    return "".join(kept)


if __name__ == "__main__":
    sys.stdout.write(added(sys.stdin.read(), Path("requirements.lock").read_text(encoding="utf-8")))
