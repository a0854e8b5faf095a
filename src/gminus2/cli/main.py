"""The entry point. It knows the verbs by name and loads a verb's module only when the verb is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Final

import click

from gminus2 import __version__
from gminus2.errors import GMinus2Error, nearest

__all__ = ["VERBS", "main", "run"]

#: Verb → (module that holds a click command of the same name with ``-`` as ``_``, one line of help).
VERBS: Final[dict[str, tuple[str, str]]] = {
    "measure": ("gminus2.cli.measure", "Run a campaign to a_mu: result, budget and report."),
    "published": ("gminus2.cli.published", "Published results beside what is recomputed from their inputs."),
    "explain": ("gminus2.cli.explain", "Walk a number of a result back to its inputs and constants."),
    "compare": ("gminus2.cli.compare", "Compare two result folders number by number."),
    "seal": ("gminus2.cli.seal", "Draw and encrypt the hidden offsets of a blind measurement."),
    "freeze": ("gminus2.cli.freeze", "Fix a blinded result so that it may be unblinded."),
    "unblind": ("gminus2.cli.unblind", "Open a frozen result with both keys."),
    "fit": ("gminus2.cli.fit", "Fit the precession of a time histogram."),
    "omega-a": ("gminus2.cli.omega_a", "omega_a of a campaign: T, A, R, Q, corrections, systematics, scans."),
    "simulate": ("gminus2.cli.simulate", "Simulate a campaign: muons, positrons, detectors, histograms."),
    "reduce": ("gminus2.cli.reduce", "Reduce hits to histograms."),
    "inspect": ("gminus2.cli.inspect", "Show what is in a file, with quick plots."),
    "fid": ("gminus2.cli.fid", "Frequencies of recorded free induction decays."),
    "field": ("gminus2.cli.field", "The magnetic field of a campaign: ω̃'_p, B_k, B_q and their budget."),
    "fast-rotation": ("gminus2.cli.fast_rotation", "Momenta of the stored muons and C_e from a 1-ns histogram."),
    "beam": ("gminus2.cli.beam", "Beam-dynamics corrections of a campaign."),
    "config": ("gminus2.cli.config", "Write or check a configuration file."),
    "theory": ("gminus2.cli.theory", "Standard-Model prediction, tension with experiment, HVP from your R(s)."),
    "new-physics": ("gminus2.cli.new_physics", "What a model adds to a_mu, and the region a difference allows."),
    "edm": ("gminus2.cli.edm", "Search for a muon EDM in tracks; limit for a number of tracks."),
    "clfv": ("gminus2.cli.clfv", "Flavour violation: rates and mass reach of MEG II, Mu3e and Mu2e."),
    "track": ("gminus2.cli.track", "Track muons with spin around the ring."),
    "optics": ("gminus2.cli.optics", "Beta functions, tunes and frequencies of the ring."),
    "inject": ("gminus2.cli.inject", "Inject a bunch: stored fraction, C_e, CBO, scans."),
}


class LazyGroup(click.Group):
    """A group whose help needs no verb to be imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _ = VERBS[cmd_name]
        command = getattr(importlib.import_module(module), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            ctx.fail(f"No such command '{args[0]}': {nearest(args[0], VERBS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gminus2")
@click.option("--debug", is_flag=True, help="Show the Python traceback of an error.")
@click.pass_context
def main(ctx: click.Context, debug: bool) -> None:
    """Measure the muon's anomalous magnetic moment: simulate or read, fit, correct, combine, compare."""
    ctx.obj = {"debug": debug}


def run() -> None:
    """Run the command line. A user's error is one message on standard error and exit code 2."""
    debug = "--debug" in sys.argv[1:]
    # Threads run over chunks; threads of BLAS on small matrices would only fight them. Read when NumPy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        main(prog_name="gminus2")
    except GMinus2Error as error:
        if debug:
            raise
        click.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        # The reader of a pipe (head, less) went away: not an error of ours.
        sys.stderr.close()
        raise SystemExit(0) from None
