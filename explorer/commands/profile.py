"""`explorer profile`: what models and ensembles take here, or on a TPU that is not, and keep the figures."""

from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import click

from explorer.commands.common import (
    json_option,
    open_store,
    print_json,
    store_option,
    zoo_errors,
)
from explorer.errors import UsageError, unknown_name
from explorer.question import parse_amount
from explorer.run.profile_asked import Answer, Planning, Question, read_named
from explorer.workload import Precision, Runtime

if TYPE_CHECKING:
    from explorer.store import Store

_Name = TypeVar("_Name", bound=StrEnum)


@click.command("profile", short_help="Count and time models on this machine, and store the figures.")
@click.argument("subjects", nargs=-1, metavar="[MODEL|DESIGN]...")
@click.option(
    "--dataset",
    metavar="NAME",
    help="Profile for this data set's channels and classes; without MODEL, all its models.",
)
@click.option(
    "--channels", type=click.IntRange(min=1), help="Input channels, without --dataset.  [default: 3]"
)
@click.option(
    "--classes", type=click.IntRange(min=1), help="Output classes, without --dataset.  [default: 10]"
)
@click.option(
    "--resolution", "resolutions", metavar="N,...", help="For models that are named without @RESOLUTION."
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="WORKLOAD",
    help="cpu, cuda, cuda:1, tpu-v5e, a device's name, or a whole workload: cuda/b64/bf16.",
)
@click.option("--batch", "batches", metavar="N,...", help="Examples a call, e.g. 1,8,64.")
@click.option(
    "--precision",
    "precisions",
    metavar="NAME,...",
    help=f"{', '.join(Precision)}.  [default: fp32; on TPUs bf16]",
)
@click.option(
    "--runtime",
    "runtimes",
    metavar="NAME,...",
    help=f"{', '.join(Runtime)}.  [default: eager; on the CPU onnxruntime and eager; on TPUs xla]",
)
@click.option("--nhwc", is_flag=True, help="Images and weights in channels-last memory format.")
@click.option("--threads", metavar="N,...", help="Threads one operator may use, CPU only.")
@click.option(
    "--placement",
    "placements",
    metavar="NAME,...",
    help="How a DESIGN's members share the device: sequential, batched, parallel:W, streams, graph, "
    "graph+streams.  [default: sequential; on CUDA also streams, graph, batched]",
)
@click.option("--energy", is_flag=True, help="Also energy an example: by the device's counter, or a bound.")
@click.option("--scenario", "scenarios", metavar="NAME,...", help="single-stream, offline, server.")
@click.option(
    "--latency-bound", metavar="TIME", help="What a server's 99th percentile must stay below, e.g. 15ms."
)
@click.option(
    "--seconds",
    default=2.0,
    show_default=True,
    type=click.FloatRange(min=0.05),
    help="Time limit for each model, workload and series.",
)
@click.option(
    "--repeat",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Time everything so often, in shuffled order; the spread between series is reported.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0.0, min_open=True),
    help="Leave out what does not fit in this time; the most informative rows come first. Bounds compiling.",
)
@click.option(
    "--max-age",
    default=7.0,
    show_default=True,
    type=click.FloatRange(min=0.0),
    help="Days for which a stored row under the same conditions is not timed again.",
)
@click.option("--again", is_flag=True, help="Time stored rows again, too.")
@click.option("--predict", is_flag=True, help="Predict instead of measuring, for a device that is not here.")
@click.option("--plan", "plan_only", is_flag=True, help="Show the plan and stop; nothing is written.")
@store_option
@json_option
def command(subjects: tuple[str, ...], **given: Any) -> None:
    """Time each MODEL under every combination of the options, models interleaved, and keep raw samples.

    Without options: one example a call on one thread, on the CPU both as what would be shipped (ONNX, by
    onnxruntime: `latency@cpu`) and in eager torch (`latency@cpu/eager`). Batch, precision and the rest become
    part of the workload's name: `latency@cuda/b64/bf16`.

    A DESIGN, `mean(wrn10-1@8#0, wrn10-1@8#1)`, is timed in placements beside its members, in torch. Weights
    are random, or with --dataset the store's: time does not depend on them. Its rows are not stored.

    With --predict a device need not be here: times come from a predictor fitted to measured ones
    (`explorer devices fit`), moved by the devices' peaks where it was fitted on another, with the basis
    and a 90 % interval beside every figure.

    A TPU need not be here: XLA's compiler estimates (extra `tpu`), or there is a bound. An ensemble of one
    architecture is compiled as one program.

    The plan is shown first. What is in the store already is not timed again, so an interrupted
    command continues where it stopped.
    """
    if not subjects and not given["dataset"]:
        raise UsageError("name at least one MODEL, e.g. wrn16-4@32, or --dataset for all its models")
    question, bound_s = _question(subjects, given)
    with zoo_errors(), open_store(given["store_url"], create=not given["dataset"], writes=True) as store:
        answer = _answer(store, question, predict=given["predict"])
    if question.plan_only:
        _print_plan(answer.planning, as_json=given["as_json"])
    else:
        _print(answer, question.scenarios, bound_s, as_json=given["as_json"])


def _question(subjects: tuple[str, ...], given: dict[str, Any]) -> tuple[Question, float | None]:
    """Read the options; return what is asked, and the server's bound."""
    scenarios = _names(given["scenarios"])
    bound_s = None if given["latency_bound"] is None else parse_amount(given["latency_bound"], "s")
    if scenarios or bound_s is not None:
        from explorer.run.profiling.scenarios import require_scenarios

        require_scenarios(scenarios, bound_s)
    named = read_named(subjects)
    placements = _names(given["placements"])
    if scenarios and named.designs:
        raise UsageError("--scenario is for models; time designs without it")
    if placements and not named.designs:
        raise UsageError("--placement needs a DESIGN, e.g. 'mean(wrn10-1@8#0, wrn10-1@8#1)'")
    return Question(
        named=named,
        device=given["device"],
        dataset=given["dataset"],
        channels=given["channels"],
        classes=given["classes"],
        resolutions=_counts(given["resolutions"], "resolution"),
        batches=_counts(given["batches"], "batch"),
        precisions=_members(given["precisions"], Precision),
        runtimes=_members(given["runtimes"], Runtime),
        threads=_counts(given["threads"], "threads"),
        channels_last=given["nhwc"],
        placements=placements,
        scenarios=scenarios,
        energy=given["energy"],
        seconds=given["seconds"],
        repeat=given["repeat"],
        minutes=given["minutes"],
        max_age_days=given["max_age"],
        again=given["again"],
        plan_only=given["plan_only"],
    ), bound_s


def _answer(store: "Store", question: Question, *, predict: bool) -> Answer:
    """Ask whoever can answer: a predictor, the compiler for TPUs, a measurement for what is here.

    Measuring says of a device that is elsewhere that it is not here (exit 3).
    """
    from explorer.run.progress import progress, say
    from explorer.run.tpu_profile import compiled, is_tpu

    def show_plan(planning: Planning) -> None:
        if planning.planned or planning.stored:
            say(_plan_text(planning))

    if is_tpu(question.device):
        return compiled(store, question, show_plan=show_plan, progress=progress)
    if predict:
        from explorer.run.predicting import predicted

        return predicted(store, question, show_plan=show_plan, progress=progress)
    from explorer.run.profiling.answer import measured

    return measured(store, question, say=say, show_plan=show_plan, progress=progress)


def _plan_text(planning: Planning) -> str:
    from explorer.report.profile import plan_text

    return plan_text(
        planning.planned, left_out=planning.left_out, stored=planning.stored, refused=planning.refused
    )


def _print_plan(planning: Planning, *, as_json: bool) -> None:
    from explorer.report.profile import plan_document

    if not as_json:
        click.echo(_plan_text(planning))
        return
    print_json(
        plan_document(
            planning.planned, left_out=planning.left_out, stored=planning.stored, refused=planning.refused
        )
    )


def _print(answer: Answer, scenarios: tuple[str, ...], bound_s: float | None, *, as_json: bool) -> None:
    from explorer.report.profile import profile_document, profile_text

    answers: tuple[Any, ...] = ()
    if scenarios:
        from explorer.run.profiling.scenarios import scenario_rows

        answers = scenario_rows(answer.rows, scenarios, bound_s=bound_s)
    if as_json:
        print_json(profile_document(answer.rows, scenarios=answers, left_out=answer.left_out))
    else:
        click.echo(profile_text(answer.rows, scenarios=answers, left_out=answer.left_out))


def _names(text: str | None) -> tuple[str, ...]:
    """Read a list with commas; None is none."""
    return tuple(dict.fromkeys(part.strip().lower() for part in (text or "").split(",") if part.strip()))


def _counts(text: str | None, what: str) -> tuple[int, ...]:
    found = []
    for part in _names(text):
        if not part.isdecimal() or int(part) < 1:
            raise UsageError(f"not a list of {what} sizes: {text!r}; wanted whole numbers of 1 or more")
        found.append(int(part))
    return tuple(found)


def _members(text: str | None, kind: type[_Name]) -> tuple[_Name, ...]:
    for part in _names(text):
        if part not in list(kind):
            raise unknown_name(kind.__name__.lower(), part, list(kind))
    return tuple(kind(part) for part in _names(text))
