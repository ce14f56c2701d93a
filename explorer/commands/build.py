"""`explorer build`: a design as one ONNX file."""

from pathlib import Path

import click

from explorer.commands.common import json_option, open_store, print_json, store_option, zoo_errors
from explorer.spec import parse_design


@click.command("build", short_help="Turn a design into one ONNX file.")
@click.argument("design")
@click.option("--dataset", metavar="NAME", help="Needed when the store holds more than one.")
@click.option("--recipe", default=None, metavar="ID", help="Members of this recipe.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write."
)
@click.option("--overwrite", is_flag=True, help="Replace an artefact that is already there.")
@store_option
@json_option
def command(
    design: str,
    dataset: str | None,
    recipe: str | None,
    out: Path,
    overwrite: bool,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Write DESIGN (its canonical text) as DIR/model.onnx with design.json and a README.

    E.g. `explorer build 'mean(wrn10-1@8#0, wrn10-1@8#1)' --dataset digits --out artefact`.
    """
    candidate = parse_design(design)
    with open_store(store_url) as store:
        from explorer.run.artefacts import build_design, only_dataset

        with zoo_errors():
            artefact = build_design(
                store, only_dataset(store, dataset), candidate, out, recipe=recipe, overwrite=overwrite
            )
    if as_json:
        print_json(
            {
                "schema_version": 1,
                "design": str(candidate),
                "path": str(artefact.model),
                "sha256": artefact.digest,
                "bytes": artefact.bytes,
            }
        )
        return
    click.echo(f"{artefact.model}: {artefact.bytes / 1e6:.2f} MB, sha256 {artefact.digest[:12]}")
    click.echo(f"check it: explorer verify {out}")
