"""The `verifine` command: one file a verb; heavy packages are imported when a verb runs."""

from __future__ import annotations

import os

import typer

from verifine import __version__
from verifine.cli.chat import chat_command
from verifine.cli.check import check
from verifine.cli.compare import compare
from verifine.cli.doctor import doctor
from verifine.cli.endpoint import endpoint_command
from verifine.cli.eval import eval_command
from verifine.cli.export import export_command
from verifine.cli.failures import Verbs, one_message_for_each_failure
from verifine.cli.grade import app as grade
from verifine.cli.init import init_command
from verifine.cli.jobs import app as jobs
from verifine.cli.keys import app as keys
from verifine.cli.models import app as models
from verifine.cli.quickstart import quickstart
from verifine.cli.report import report
from verifine.cli.resume import resume_command
from verifine.cli.serve import serve_command
from verifine.cli.sweep import sweep_command
from verifine.cli.train import train_command
from verifine.machine.waiting import wait_briefly

app = typer.Typer(
    name="verifine",
    cls=Verbs,
    help="Open reinforcement fine-tuning: a model, prompts and a grader in; a better model out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(quickstart)
app.command("init")(init_command)
app.command()(check)
app.command("train")(train_command)
app.command("resume")(resume_command)
app.command("sweep")(sweep_command)
app.command("eval")(eval_command)
app.command("serve")(serve_command)
app.command("export")(export_command)
app.command("endpoint")(endpoint_command)
app.command("chat")(chat_command)
app.command()(report)
app.command()(compare)
app.add_typer(grade)
app.add_typer(jobs)
app.add_typer(keys)
app.add_typer(models)
app.command()(doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"verifine {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
    ),
) -> None: ...


def main() -> None:
    """Runs the command; whatever goes wrong becomes one message and an exit code.

    Exit codes: 0 done, 1 unexpected, 2 usage or config, 3 environment, 4 data or grader or no-go, 5 training failed,
    130 interrupted with the model saved, 141 the reader of the output has closed it.
    """
    wait_briefly(os.environ)
    with one_message_for_each_failure(os.environ):
        app()
