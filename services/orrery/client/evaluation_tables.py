"""What `orrery eval` prints for people."""

from __future__ import annotations

from typing import Any

from rich.table import Table


def tables(found: dict[str, Any]) -> list[Table]:
    """Of a report of an evaluation, or of a self-check."""
    return [_self_check(found)] if "chance" in found else [_accuracy(found), _picture(found)]


def _accuracy(found: dict[str, Any]) -> Table:
    table = Table(title=f"{found['model']}, {found['workflow']}: {found['prompts']} held-out prompts, seed {found['seed']}")
    for column in ("", "accuracy", "95 % interval", *(f"{n} objects" if n != "1" else "1 object" for n in found["by_objects"])):
        table.add_column(column, justify="left" if not column else "right")
    table.add_column("other captions", justify="right")
    for name, share in found["accuracy"].items():
        by_objects = [_percent(each[name]) for each in found["by_objects"].values()]
        others = found["other_captions"].get(name)
        table.add_row(name, _percent(share), _interval(share), *by_objects, "" if others is None else f"{others:.1%}")
    return table


def _picture(found: dict[str, Any]) -> Table:
    table = Table(title="picture")
    for column in ("", "mean"):
        table.add_column(column, justify="left" if not column else "right")
    if found["conditioning_psnr"]:
        table.add_row("conditioning frame, dB", f"{found['conditioning_psnr']['mean']:.1f}")
    table.add_row("flicker, levels per frame", f"{found['smoothness']['flicker']:.2f}")
    table.add_row("jitter, pixels", f"{found['smoothness']['jitter']:.2f}")
    table.add_row("seconds per clip", f"{found['seconds_per_clip']['mean']:.1f}")
    return table


def _self_check(found: dict[str, Any]) -> Table:
    table = Table(title=f"the generator's own clips, {found['prompts']} held-out scenes")
    for column in ("", "as drawn", "in H.264", "other captions", "chance"):
        table.add_column(column, justify="left" if not column else "right")
    for name, chance in found["chance"].items():
        drawn, published = found["drawn"]["accuracy"][name], found["h264"]["accuracy"][name]
        others = found["h264"]["other_captions"][name]
        table.add_row(name, _percent(drawn), _percent(published), f"{others:.1%}", f"{chance:.1%}")
    return table


def _percent(share: dict[str, float]) -> str:
    return f"{share['accuracy']:.1%}"


def _interval(share: dict[str, float]) -> str:
    return f"{share['low']:.1%} to {share['high']:.1%}"
