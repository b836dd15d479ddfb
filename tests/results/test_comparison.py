from lab.results.comparison import ModelDifference
from lab.verdict.differences import Sample
from lab.verdict.verdicts import findings


def shown(candidate: list[float], baseline: list[float], unit: str = "%") -> str:
    samples = [Sample(range(len(values)), values) for values in (candidate, baseline)]
    return ModelDifference.of("b", "a", findings([tuple(samples)], 0.001)[0]).sentence(unit)


def test_sentence_names_both_sides_in_percentage_points():
    assert shown([0.9751, 0.9749] * 5, [0.97] * 10) == "b - a: +0.50 pp [+0.49, +0.51], improved"
    assert shown([1.25] * 3, [1.5] * 3, "nats") == "b - a: -0.25 nats [-0.25, -0.25], regressed"
    assert shown([1.25], [1.5], "") == "b - a: -0.25 (no interval: under 3 seeds), cannot tell"
    assert shown([0.98], [0.97]) == "b - a: +1.00 pp (no interval: under 3 seeds), cannot tell"


def test_sentence_quotes_the_interval_on_other_images_where_it_is_known():
    samples = Sample(range(10), [0.9751, 0.9749] * 5), Sample(range(10), [0.97] * 10)
    found = ModelDifference.of("b", "a", findings([samples], 0.001)[0], (0.002, 0.008))

    said = "b - a: +0.50 pp [+0.20, +0.80] on other images, improved"
    assert found.sentence("%") == said
    assert found.interval[0] > 0.0049
