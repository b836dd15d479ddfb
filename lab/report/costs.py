"""What the training of each model took, on both sides of a report."""

from lab.evidence.schema import Evidence, ModelSide
from lab.report.document import Block, Line, Paragraph, Table, Untrusted, prose
from lab.report.wording import count, mebibytes


def costs(evidence: Evidence) -> list[Block]:
    """A table, and what its numbers are of."""
    models = [model for model in evidence.models if model.baseline or model.candidate]
    if not models:
        return [Paragraph(["Unknown: no model has results."])]
    rows: list[list[Line]] = []
    for model in models:
        columns = zip(_cells(model.baseline), _cells(model.candidate), strict=True)
        rows.append([[Untrusted(model.name)], *([_both(*column)] for column in columns)])
    speed = f"{evidence.noun.capitalize()}s/s"
    header = ("Model", "Wall, s", "CPU, s", speed, "Peak memory", "Parameters")
    table = Table(header, rows, header[1:])
    known = [side.cost for model in models for side in (model.baseline, model.candidate) if side]
    if not any(known):
        unknown = "No cost is known: these results were made elsewhere or came from the cache."
        return [table, Paragraph([unknown])]
    machine = Untrusted(evidence.candidate.machine)
    line = prose("Training, all seeds of a model together, baseline → candidate, on {}.", machine)
    if not all(known):
        line = [*line, " “?”: those results were not made in this checkout."]
    return [table, Paragraph(line)]


def _cells(side: ModelSide | None) -> list[str]:
    """Wall and CPU time, throughput, memory, parameters; `?` where unknown, `–` without results."""
    if side is None:
        return ["–"] * 5
    parameters = count(side.parameter_count)
    if side.cost is None:
        return [*["?"] * 4, parameters]
    return [
        f"{side.cost.wall_seconds:,.1f}",
        f"{side.cost.cpu_seconds:,.1f}",
        f"{side.cost.image_steps_per_second:,.0f}",
        mebibytes(side.cost.peak_memory_bytes),
        parameters,
    ]


def _both(before: str, after: str) -> str:
    return before if before == after else f"{before} → {after}"
