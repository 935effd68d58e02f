"""``kvbench doctor``: what works on this machine, what does not, and why."""

from __future__ import annotations

import json

import click
from attrs import asdict

from kvbench_core.registry import build_registry


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Say what this machine can do: devices, attention kernels, video, plugins, backends,
    metrics.

    A line marked "-" is not available; whether that matters to you is in its text.
    """
    from kvbench_core.doctor import examine

    topics = examine(build_registry())
    if as_json:
        click.echo(json.dumps({t: [asdict(f) for f in found] for t, found in topics.items()}))
        return
    for topic, findings in topics.items():
        click.secho(topic, bold=True)
        for finding in findings:
            click.echo(f"  {'+' if finding.ok else '-'} {finding.subject}: {finding.detail}")
        if not findings:
            click.echo("  none installed")
