"""`explorer quickstart`: the main job, end to end."""

from pathlib import Path

import click

from explorer.commands.common import json_option, open_store, print_json, store_option


@click.command("quickstart", short_help="The main job, end to end, on data that ships.")
@store_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("quickstart-out"),
    show_default=True,
    help="Folder for the report and the built file.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Members trained at a time.  [default: one a core]"
)
@json_option
def command(store_url: str | None, out: Path, workers: int | None, as_json: bool) -> None:
    """Train 20 small members on handwritten digits, profile them here, choose, report, build, verify.

    Takes a few minutes on 2 cores. Interrupted or killed, the same command continues.
    """
    from explorer.report.answer import answer_sentence
    from explorer.report.documents import advice_document
    from explorer.report.terminal import kinds_text
    from explorer.run.quickstart import run_quickstart

    with open_store(store_url, create=True) as store:
        done = run_quickstart(store, out, workers=workers)
    if as_json:
        print_json(
            {
                **advice_document(done.advice),
                "report": str(done.report),
                "artefact": str(done.artefact.model),
                "verified": done.verification.passed,
            }
        )
    else:
        state = "verified" if done.verification.passed else "FAILED its verification"
        click.echo(f"{kinds_text(done.advice)}\n")
        click.echo(f"by latency: {answer_sentence(done.latency_advice)}")
        click.echo(f"answer: {answer_sentence(done.advice)}")
        click.echo(f"report: {done.report}")
        click.echo(f"artefact: {done.artefact.model} ({done.shipped.design}), {state}")
    if not done.verification.passed:
        raise click.exceptions.Exit(1)
