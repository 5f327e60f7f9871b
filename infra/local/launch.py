"""``python -m infra.local.launch MODULE [ARGUMENT…]``: like ``python -m MODULE``, with a patient garbage collector.

These servers build tens of thousands of objects at their start that live as long as they do. With the default
threshold the collector looks at them over and over: 18 % of the api-server's start, measured.
"""

from __future__ import annotations

import gc
import runpy
import sys

if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 50)
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
