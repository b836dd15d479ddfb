"""How far a difference of accuracy rests on these very test examples, on the seeds judged."""

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lab.base.dvc import Cache
from lab.base.errors import LabError
from lab.data.prepared import Prepared, load_prepared
from lab.evidence.flips import predictions
from lab.evidence.pairs import in_trial, is_identical
from lab.evidence.revision_results import RevisionResults, has_same_test
from lab.evidence.schema import Evidence, ImageComponents, Model, OnSeeds
from lab.evidence.trials import Resolved, Trained
from lab.results.predictions import Classes
from lab.verdict.differences import FEWEST_SEEDS
from lab.verdict.images import components

BySeed = dict[int, Classes]


def with_images(
    root: Path, resolved: Resolved, candidate: RevisionResults, baseline: RevisionResults
) -> Evidence:
    """The evidence with the components of every model that changed and has its predictions."""
    evidence = resolved.evidence
    found: dict[str, ImageComponents | None] = {}
    if has_same_test(candidate, baseline):
        with contextlib.suppress(LabError):
            place = _Place(load_prepared(root), Cache(root), resolved, candidate, baseline)
            for model in evidence.models:
                if model.both and not is_identical(model):
                    with contextlib.suppress(LabError):  # predictions that are gone
                        found[model.name] = place.components(model)
    models = [one.model_copy(update={"images": found.get(one.name)}) for one in evidence.models]
    return evidence.model_copy(update={"models": models})


@dataclass(frozen=True)
class _Place:
    prepared: Prepared
    cache: Cache
    resolved: Resolved
    candidate: RevisionResults
    baseline: RevisionResults

    def components(self, model: Model) -> ImageComponents | None:
        """Those of the seeds that both sides have; None where these are too few.

        Raises:
            DataError: the predictions of a side are gone, or belong to other results.
        """
        on = in_trial(self.resolved.evidence, model, model) or (None, None)
        old_name = model.renamed_from or model.name
        new = self._predicted(self.candidate, model.name, on[0], self.resolved.candidate)
        old = self._predicted(self.baseline, old_name, on[1], self.resolved.baseline)
        common = [seed for seed in new if seed in old]
        if len(common) < FEWEST_SEEDS:
            return None
        labels_N = self.prepared.test.labels
        after_KN, before_KN = (
            np.array([side[seed] == labels_N for seed in common]) for side in (new, old)
        )
        found = components(after_KN, before_KN, self.prepared.test_groups)
        return ImageComponents(**asdict(found))

    def _predicted(
        self,
        results: RevisionResults,
        name: str,
        on: OnSeeds | None,
        trained: Mapping[str, Trained],
    ) -> BySeed:
        """The classes that each of the judged seeds predicts."""
        found: BySeed = {}
        if on is not None:
            found = dict(trained[name].predictions)
        if on is None or len(found) < len(on.seeds):
            which = "candidate" if results is self.candidate else "baseline"
            held = predictions(results, name, self.prepared, self.cache, which)
            found |= dict(zip(held.seeds.tolist(), held.predictions, strict=True))
        wanted = found if on is None else on.seeds
        return {seed: found[seed] for seed in wanted if seed in found}
