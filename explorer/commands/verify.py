"""`explorer verify`: does the file answer as the store says, and how fast is it?"""

from pathlib import Path

import click

from explorer.commands.common import json_option, open_store, print_json, store_option, with_data_options


@click.command("verify", short_help="Run a built file against the stored predictions and time it.")
@click.argument("directory", type=click.Path(path_type=Path))
@with_data_options
@store_option
@json_option
def command(
    directory: Path, data_dir: Path | None, download: bool, store_url: str | None, as_json: bool
) -> None:
    """Run DIRECTORY/model.onnx over the whole `report` split on every route; exit 1 if it disagrees."""
    from explorer.build.artefact import load_artefact
    from explorer.report.documents import verification_document
    from explorer.report.terminal import verification_text
    from explorer.run.artefacts import verification_parts, verify_directory

    artefact = load_artefact(directory)
    with open_store(store_url) as store:
        verification = verify_directory(store, artefact, data_dir=data_dir, download=download)
    design, parts = str(verification.design), verification_parts(verification)
    if as_json:
        print_json(verification_document(design, **parts))
    else:
        click.echo(verification_text(design, **parts))
    if not verification.passed:
        raise click.exceptions.Exit(1)
