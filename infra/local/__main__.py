"""``python -m infra.local up|down|status [--json]``: the embedded stack. Exit 0 well, 1 not, 2 wrong use or setting."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from infra.local import control, status, supervisor
from infra.local.paths import Home
from infra.local.progress import Progress
from pipelines import config
from pipelines.errors import ConfigError, TidemarkError


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("up", "start it, or restart what has changed"), ("down", "stop it"),
                       ("status", "show how it is"), ("supervise", "run the supervisor in the foreground")):
        commands.add_parser(name, help=text).add_argument("--json", action="store_true", help="print JSON only")
    return parser.parse_args(argv)


def _up(home: Home, console: Console, *, as_json: bool) -> int:
    with Progress(console, quiet=as_json) as progress:
        state = control.up(home, os.environ, progress)
    if as_json:
        logins = [dict(zip(("name", "address", "user", "password"), row, strict=True)) for row in state["logins"]]
        print(json.dumps({"home": str(home.path), "seconds": round(progress.seconds, 1), "logins": logins}))
        return 0
    progress.say(f"the stack in {home.path} is up")
    status.render_logins(state["logins"], console)
    console.print(f"[dim]settings for other programs: {home.stack_env}; stop it with `tidemark down`[/]",
                  soft_wrap=True)
    return 0


def _down(home: Home, console: Console, *, as_json: bool) -> int:
    with Progress(console, quiet=as_json) as progress:
        swept = control.down(home, progress)
    if as_json:
        print(json.dumps({"home": str(home.path), "swept": swept}))
    else:
        progress.say(f"the stack in {home.path} is down" + (f" ({swept} orphans swept up)" if swept else ""))
    return 0


def _status(home: Home, console: Console, *, as_json: bool) -> int:
    report = status.collect(home)
    if as_json:
        print(json.dumps(report, indent=1))
    else:
        status.render(report, console)
    return 0 if report["healthy"] else 1


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    console = Console(highlight=False)
    home = Home(Path(os.environ.get("TIDEMARK_HOME") or config.ROOT / ".tidemark").absolute())
    try:
        if arguments.command == "supervise":
            return supervisor.main(home)
        command = {"up": _up, "down": _down, "status": _status}[arguments.command]
        return command(home, console, as_json=arguments.json)
    except KeyboardInterrupt:
        return 130
    except TidemarkError as error:
        Console(stderr=True, highlight=False).print(Text(type(error).__name__, style="bold red"),
                                                    Text(str(error)), soft_wrap=True)
        return 2 if isinstance(error, ConfigError) else 1


if __name__ == "__main__":
    sys.exit(main())
