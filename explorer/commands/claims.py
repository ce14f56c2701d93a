"""`explorer claims`: the field's efficiency claims, checked by counting and by measuring."""

from pathlib import Path

import click

from explorer.commands.common import json_option, print_json, zoo_errors
from explorer.errors import UsageError, unknown_name

VERDICTS = ("holds", "fails", "depends", "not_checked")


@click.command("claims", short_help="The field's efficiency claims, checked.")
@click.argument("ids", nargs=-1, metavar="[ID|SYSTEM]...")
@click.option("--verdict", type=click.Choice(VERDICTS), help="Show claims of this verdict only.")
@click.option("--measure", is_flag=True, help="Measure here what needs a device, instead of what was kept.")
@click.option(
    "--seconds",
    default=3.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help="With --measure: time spent on each model of a check.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.json",
    help="With --measure: write what was measured to FILE, beside what it holds.",
)
@json_option
def command(
    ids: tuple[str, ...], verdict: str | None, measure: bool, seconds: float, keep: Path | None, as_json: bool
) -> None:
    """Check published efficiency claims: about networks, search spaces, recipes.

    Each claim is checked in every way that its words allow: form of the network (as built, or merged for
    deployment), device, network it is compared with. It holds or fails when all ways agree, and depends when
    they do not. Counts are made now, on no device; measured figures are those kept with the project, with
    machine and date, unless --measure makes them anew on this machine. Figures of other people's devices name
    their source.

    E.g. `explorer claims`, `explorer claims dpn repvgg-speed`, `explorer claims csp-speed --measure`.
    """
    if keep and not measure:
        raise UsageError("--keep is for what --measure measures; give both")
    from explorer.data.claims import read_claims
    from explorer.run.claims.checking import check_claims
    from explorer.run.claims.measured import (
        KeptMeasurements,
        MeasuredHere,
        read_measurements,
        write_measurements,
    )
    from explorer.run.progress import progress

    claims = read_claims()
    systems = {claim.system for claim in claims.values()}
    for name in ids:
        if name not in claims and name not in systems:
            raise unknown_name("claim or system with claims", name, {*claims, *systems})
    chosen = [claim for claim in claims.values() if not ids or claim.id in ids or claim.system in ids]
    kept = KeptMeasurements(read_measurements())
    said = " ".join(("explorer claims", *ids, f"--measure --seconds {seconds:g}"))
    here = MeasuredHere(kept, seconds=seconds, command=said) if measure else None
    with zoo_errors(), progress("claims") as update:
        checked = check_claims(chosen, measurements=here or kept, update=update)
    if here and keep:
        before = read_measurements(keep) if keep.exists() else ()
        rows = {(one.claim, one.condition): one for one in (*before, *here.made)}
        write_measurements(keep, rows.values())
    shown = [one for one in checked if verdict in (None, one.verdict.value)]
    from explorer.report.claims import claims_document, claims_text

    if as_json:
        print_json(claims_document(shown))
    else:
        click.echo(claims_text(shown, details=bool(ids)))
