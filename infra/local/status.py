"""`status`: what the supervisor says, checked against the real servers and processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.local import control, health, logs, processes
from infra.local.paths import Home
from infra.local.progress import STYLES
from infra.local.runner import READY
from pipelines import config

_MONITORED = {"api-server": "metadatabase", "scheduler": "scheduler", "triggerer": "triggerer",
              "dag-processor": "dag_processor"}


def collect(home: Home) -> dict[str, Any]:
    """The state of the stack as plain data (see docs of ``status --json``). Nothing in it is secret."""
    state = control.read_state(home)
    supervisor = control.supervisor(home)
    parts = [dict(part) for part in state.get("components", [])]
    probes = _probes(home, parts)
    for part in parts:
        part["healthy"] = _check(part, probes.get(part["name"]), supervised=supervisor is not None)
        if not part["healthy"]:
            part["last_words"] = part["last_words"] or logs.tail(home.log(part["name"]))
    running = _processes(home, supervisor)
    healthy = bool(parts) and supervisor is not None and all(part["healthy"] for part in parts) \
        and state.get("phase") == "running" and not state.get("error")
    return {
        "healthy": healthy, "home": str(home.path), "phase": _phase(state, supervisor, running),
        "error": state.get("error", ""), "supervisor": supervisor.pid if supervisor else None,
        "components": parts, "processes": len(running), "memory_mib": round(processes.memory_mib(running)),
        "urls": {title: address for title, address, *_ in state.get("logins", [])},
        "checked_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _phase(state: Mapping[str, Any], supervisor: psutil.Process | None, running: Sequence[psutil.Process]) -> str:
    if supervisor:
        return str(state.get("phase", "starting"))
    return "orphaned" if running else "stopped"


def _probes(home: Home, parts: Sequence[Mapping[str, Any]]) -> dict[str, health.Probe]:
    probes: dict[str, health.Probe] = {}
    urls = {part["name"]: part["url"] for part in parts if part["url"]}
    if "mlflow" in urls:
        probes["mlflow"] = health.http(f"{urls['mlflow']}/health")
    if "api-server" in urls:
        monitor = health.Monitor(urls["api-server"], max_age=60)
        probes |= {name: monitor.probe(part) for name, part in _MONITORED.items()}
    database = config.read_env_file(home.stack_env).get("TIDEMARK_DATABASE_URL")
    if database and any(part["name"] == "postgres" for part in parts):
        probes["postgres"] = health.postgres(database)
    return probes


def _check(part: dict[str, Any], probe: health.Probe | None, *, supervised: bool) -> bool:
    """Whether a component is well now; sets its state and detail when the supervisor's word is out of date."""
    if part["pid"] is not None and processes.identity(part["pid"]) is None:
        part.update(state="dead", detail=f"process {part['pid']} is gone")
        return False
    if not supervised and part["pid"] is not None:
        part.update(state="orphaned", detail="")
    if part["state"] not in READY or not supervised:
        return False
    if probe is None:
        return True
    found = probe(0.0 if part["started_at"] is None else datetime.fromisoformat(part["started_at"]).timestamp())
    if not found.ok:
        part.update(state="unhealthy", detail=found.detail)
    return bool(found.ok)


def _processes(home: Home, supervisor: psutil.Process | None) -> list[psutil.Process]:
    """All processes of the stack, PostgreSQL's backends included."""
    found = {process.pid: process for process in processes.marked(home.path)}
    for process in (*list(found.values()), *([supervisor] if supervisor else [])):
        try:
            found.update({child.pid: child for child in process.children(recursive=True)})
        except psutil.Error:
            continue
    if supervisor:
        found[supervisor.pid] = supervisor
    return [process for process in found.values() if processes.alive(process)]


def render(report: Mapping[str, Any], console: Console) -> None:
    """A table, the last words of what is not well or has died, and where to go."""
    verdict = "[green]healthy[/]" if report["healthy"] else f"[red]{report['phase']}, not healthy[/]"
    console.print(f"Tidemark stack in {report['home']}: {verdict}, {report['processes']} processes, "
                  f"{report['memory_mib']} MiB", soft_wrap=True)
    if report["error"]:
        console.print(f"[red]{report['error']}[/]", soft_wrap=True)
    if report["components"]:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for column in ("component", "state", "pid", "port", "since", "restarts", ""):
            table.add_column(column, overflow="fold")
        for part in report["components"]:
            table.add_row(part["name"], Text(part["state"], style=STYLES.get(part["state"], "red")),
                          str(part["pid"] or ""), str(part["port"] or ""), (part["started_at"] or "")[11:19],
                          str(part["restarts"] or ""), part["detail"])
        console.print(table)
    for part in report["components"]:
        if part["last_exit"] or not part["healthy"]:
            when = f" at {part['last_exit_at'][:19].replace('T', ' ')}" if part["last_exit_at"] else ""
            ended = f"died{when}: {part['last_exit']}" if part["last_exit"] else "last lines"
            console.print(f"\n[bold]{part['name']}[/] {ended} ({part['log']})", soft_wrap=True)
            for line in part["last_words"][-8:]:
                console.print(Text(f"  {line}"[:max(120, console.width)], style="dim"), soft_wrap=True)
    remedy = {"stopped": "start it with `tidemark up`", "orphaned": "its supervisor was killed: `tidemark up` mends it"}
    if report["phase"] in remedy:
        console.print(remedy[report["phase"]])


def render_logins(logins: Sequence[Sequence[str]], console: Console) -> None:
    """Plain lines, never cut or folded: people copy from them."""
    widths = [max(len(row[column]) for row in logins) for column in range(3)]
    for name, address, user, password in logins:
        console.print(Text.assemble((name.ljust(widths[0]), "bold"), f"  {address.ljust(widths[1])}  ",
                                    f"{user.ljust(widths[2])}  {password}"), soft_wrap=True)
