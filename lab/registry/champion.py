"""MLflow's alias `champion`: the version in production, as a view; and a run that says so."""

from lab.base import gto
from lab.base.files import sha256
from lab.base.machine import environment_tags
from lab.registry.promotion import Promotion
from lab.tracking.recording import RunSpec, recording


def show(step: Promotion) -> None:
    """Lets `models:/NAME@champion` load the version in production, where its run is here.

    The same step again is the same run. Nothing that fails here stops a promotion.
    """
    with recording(run_of(step)) as active:
        active.champion(step.results_sha256)


def run_of(step: Promotion) -> RunSpec:
    """The run of a step: no metrics, so it is in no chart beside the models."""
    reason = f"\n\nReason given: {step.reason}" if step.reason else ""
    before = f"v{step.before}" if step.before else "nothing"
    return RunSpec(
        name=f"production: v{step.version}",
        params={"model": step.model, "version": f"v{step.version}", "before": before},
        tags={
            **environment_tags(),
            "stage": "promote",
            "git_commit": step.commit,
            "tag": step.tag,
            "who": step.who,
        },
        note=f"**{step.title}** in production since {step.since}: {step.line}{reason}",
        fingerprint=sha256(f"{gto.STAGE} {step.text()}".encode()),
        is_again=True,
    )
