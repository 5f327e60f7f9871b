"""``python -m infra.replay --port 8099 --faults 429,cut,nan [--data DIR --manifest FILE]``."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from infra.replay.faults import EVERY, FACTS, WIRE, Faults
from infra.replay.server import STALL, Replay
from infra.replay.world import World
from pipelines import config
from pipelines.errors import TidemarkError
from pipelines.ingest import providers


def main() -> int:
    """Serve until interrupted. Exit 2 on a wrong setting or fault."""
    parser = argparse.ArgumentParser(prog="python -m infra.replay", description=__doc__)
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--faults", default="", help=f"of {', '.join((*WIRE, *FACTS))}; with ! it strikes always")
    parser.add_argument("--every", type=int, default=EVERY, help="a fault of the wire strikes one request in so many")
    parser.add_argument("--stall", type=float, default=STALL, help="seconds that a stalled answer takes")
    parser.add_argument("--clock", type=Path, help="a file that says up to when things have happened (ISO 8601)")
    parser.add_argument("--data", type=Path, help="a directory of files instead of the simulator")
    parser.add_argument("--manifest", type=Path, help="default: source.toml in it")
    given = parser.parse_args()
    # Whoever starts it in a shell's background has interrupts ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        settings = config.load()
        if given.data is not None:
            settings = settings.model_copy(update={"data_dir": given.data, "manifest": given.manifest})
        faults = Faults.parse(given.faults, given.every)
        world = World.of(providers.create("files" if given.data else "simulator", settings)).published()
        with Replay(world, faults, port=given.port, retry_after="1", clock=given.clock, stall=given.stall) as replay:
            print(f"speaking on {replay.url}; stop with Ctrl-C", flush=True)
            while True:
                time.sleep(3600)
    except KeyboardInterrupt:
        return 0
    except (TidemarkError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
