"""A comparison as an MLflow run: set apart from the models it compares, its verdict up front."""

from collections.abc import Mapping
from pathlib import Path

from lab.base.files import sha256
from lab.base.machine import environment_tags
from lab.base.params import Params
from lab.data.description import Description
from lab.results import storage
from lab.results.comparison import Comparison
from lab.results.schema import ScoreTable, Spread
from lab.tracking import words
from lab.tracking.recording import ActiveRun, Dataset, RunSpec
from lab.tracking.training_runs import pull_request_line


def comparison_run(tree: Params, found: Comparison, data: Description) -> RunSpec:
    """The run of `compare.py`: no metrics of its own, so it is in no chart beside the models."""
    chosen, metric = found.chosen, found.metric
    tags = environment_tags()
    verdict = words.verdict(found)
    return RunSpec(
        name=f"comparison: {chosen.model} chosen",
        params={"metric": metric.name, "margin": found.margin, "models": ", ".join(tree.models)},
        tags={
            "stage": "compare",
            "chosen": chosen.model,
            "seed": str(chosen.seed),
            words.VERDICT: verdict,
            **tags,
        },
        note=(
            f"**{verdict}**\n\n{_choice(found)}{pull_request_line(tags)}\n\n"
            "`confusion_matrix.png`, `comparison.json` and `scores.json` are among the artifacts."
        ),
        dataset=Dataset(name=data.name, digest=data.test.sha256, context="test"),
        fingerprint=sha256(f"{found.model_dump_json()} {data.test.sha256}".encode()),
        is_again=True,  # the same results compared again are the same comparison
    )


def log_comparison(
    active: ActiveRun,
    found: Comparison,
    table: ScoreTable,
    data: Description,
    build: Path,
    artifacts: list[Path],
) -> None:
    """Sends the artifacts, says the verdict in the runs of the models, registers the chosen one.

    Args:
        active: the run that goes on.
        found: the comparison.
        table: all scores of all models.
        data: what they were trained and tested on.
        build: the folder of the chosen model, `models/best`.
        artifacts: files to keep.
    """
    for path in artifacts:
        active.artifact(path)
    said = words.verdicts(found)
    digests = {
        name: sha256(file.read_bytes())
        for name in said
        if (file := storage.tracked(name)[0]).is_file()
    }
    active.judged({digests[name]: said[name] for name in digests})
    name = found.chosen.model
    card = model_card(found, table, data, environment_tags())
    active.chosen(build, name, card, digests.get(name, ""))


def model_card(
    found: Comparison, table: ScoreTable, data: Description, tags: Mapping[str, str]
) -> str:
    """The chosen model in Markdown: what it is, how good, on what, how it loads."""
    name, seeds = found.chosen.model, table.seeds
    rows = [
        f"| {score.name} | {_shown(table.validation[name][score.name], score.unit)} "
        f"| {_shown(table.test[name][score.name], score.unit)} |"
        for score in table.scores
    ]
    verdicts = [f"- {each.sentence(found.metric.unit)}" for each in found.differences]
    size = f"{data.test.examples:,} test and {data.validation.examples:,} validation examples"
    return "\n".join(
        [
            f"**{name}**, seed {found.chosen.seed}, of {data.name}. {_choice(found)}",
            "",
            f"| score | validation | test (mean of {len(seeds)} seeds, 95 % interval) |",
            "| --- | --- | --- |",
            *rows,
            "",
            *verdicts,
            "",
            f"Trained on {data.train.examples:,} examples; {size}. The test ones chose nothing.",
            f"Takes `{data.dtype} [N{''.join(f', {n}' for n in data.shape)}]` as the data store "
            f"them and gives one of {len(data.class_names)} classes; refuses all else.",
            f"Commit `{tags.get('git_commit', 'unknown')}`. Its intervals are over seeds; other "
            "data than these test examples may show other scores.",
        ]
    )


def _shown(spread: Spread, unit: str) -> str:
    return words.with_interval(spread, words.percent if unit == "%" else words.plain)


def _choice(found: Comparison) -> str:
    chosen = found.chosen
    return f"Chosen by validation {found.metric.name}, exported with seed {chosen.seed}."
