"""`explorer app`: the Streamlit app on a local port."""

import os
import subprocess
import sys
from pathlib import Path

import click

from explorer.commands.common import open_store, store_option
from explorer.errors import EnvironmentMissingError


@click.command("app", short_help="Open the app in a browser.")
@store_option
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535))
@click.option("--headless", is_flag=True, help="Do not open a browser window.")
def command(store_url: str | None, port: int, headless: bool) -> None:
    """Serve the app on 127.0.0.1 until Ctrl-C."""
    import explorer.ui

    script = Path(explorer.ui.__file__).with_name("main.py")
    if not script.exists():
        raise EnvironmentMissingError(f"the app's script is missing: {script}; reinstall scale-or-ensemble")
    from explorer.store.reference import store_to_read

    environment = dict(os.environ)
    chosen = store_to_read(store_url)
    if chosen:
        environment["EXPLORER_STORE"] = chosen
    if chosen != store_url:
        open_store(store_url).close()  # made now, with its line, rather than behind the page
    arguments = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(script),
        f"--server.port={port}",
        "--server.address=127.0.0.1",
        "--browser.gatherUsageStats=false",
        "--client.toolbarMode=minimal",
    ]
    if headless or not sys.stdout.isatty():
        arguments.append("--server.headless=true")
    click.echo(f"app: http://127.0.0.1:{port} (Ctrl-C ends it)", err=True)
    raise click.exceptions.Exit(subprocess.call(arguments, env=environment))
