"""Prometheus's rules, tried by Prometheus's own tool, on what the service really tells."""

import json
import re
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from servers import free_port
from services import digits, serving
from support import PATIENCE_SECONDS, ROOT, started

from lab.base.params import MonitorParams
from lab.monitoring.budgets import PACES

ALERTS = ROOT / "monitoring/alerts.yml"


def promtool(*arguments: str) -> str:
    if not (program := shutil.which("promtool")):
        pytest.skip("promtool is not installed: it comes with Prometheus")
    done = subprocess.run(
        [program, *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_alertmanager_takes_its_example():
    if not (program := shutil.which("amtool")):
        pytest.skip("amtool is not installed: it comes with Alertmanager")
    command = [program, "check-config", "monitoring/alertmanager.yml"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    routes = loaded(ROOT / "monitoring/alertmanager.yml")["route"]["routes"]
    matched = [matcher for one in routes for matcher in one["matchers"]]
    asked = {matcher.partition('"')[2].rstrip('"') for matcher in matched}
    assert asked < {rule["labels"]["severity"] for rule in rules()}


def loaded(path: Path) -> dict:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def all_rules() -> list[dict]:
    return [rule for group in loaded(ALERTS)["groups"] for rule in group["rules"]]


def rules() -> list[dict]:
    return [rule for rule in all_rules() if "alert" in rule]


def test_prometheus_takes_its_configuration():
    assert "SUCCESS" in promtool("check", "config", "monitoring/prometheus.yml")


def test_what_should_raise_an_alert_does_and_what_should_not_does_not():
    assert "SUCCESS" in promtool("test", "rules", "tests/image/alerts.yaml")


def test_each_alert_is_tried_both_ways_and_explained():
    tried = {True: set(), False: set()}
    for test in loaded(ROOT / "tests/image/alerts.yaml")["tests"]:
        for one in test["alert_rule_test"]:
            tried["exp_alerts" in one].add(one["alertname"])
    names = {rule["alert"] for rule in rules()}

    assert tried == {True: names, False: names}
    page = (ROOT / "docs/image.md").read_text(encoding="utf-8")
    assert names == set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the service tells before anybody has asked it something."""
    with serving(tmp_path_factory.mktemp("service"), digits()) as running:
        return running.ask("/metrics")[1]


def test_alerts_are_about_what_the_service_tells(told: str):
    """Of a series that begins with its first event, Prometheus would see no increase."""
    named = {name for rule in all_rules() for name in re.findall(r"serve_\w+", rule["expr"])}

    for name in named:
        assert re.search(rf"^{name}[ {{]", told, re.MULTILINE), name
    for status in ("200", "500", "503"):
        assert f'serve_requests_total{{status="{status}"}} 0.0' in told


def test_budgets_are_those_of_the_params():
    params = MonitorParams()
    texts = {rule.get("alert") or rule["record"]: rule["expr"] for rule in all_rules()}

    for name, target in (("Error", params.answered), ("Latency", params.in_time)):
        paces = {
            (float(pace or 1), float(may))
            for kind in ("Fast", "Slow")
            for pace, may in re.findall(
                r"> (?:([\d.]+) \* )?([\d.]+)", texts[f"{name}Budget{kind}"]
            )
        }
        assert {round(1 - may, 9) for _, may in paces} == {target}
        assert {pace for pace, _ in paces} == {*PACES.values()}
    assert f'le="{params.seconds:g}"' in texts["serve:slow:share1h"]


@pytest.mark.slow
def test_a_real_prometheus_asks_the_service_and_reads_the_rules(tmp_path):
    if not (program := shutil.which("prometheus")):
        pytest.skip("Prometheus is not installed")
    shutil.copytree(ROOT / "monitoring", tmp_path / "monitoring")
    configuration = tmp_path / "monitoring/prometheus.yml"
    port = free_port()
    with serving(tmp_path, digits()) as running:
        text = configuration.read_text(encoding="utf-8").replace("15s", "1s")
        text = text.replace("serve:8000", f"127.0.0.1:{running.port}")
        configuration.write_text(text, encoding="utf-8")
        command = [
            program, f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        with started(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            asked = f"http://127.0.0.1:{port}/api/v1"
            until = time.monotonic() + PATIENCE_SECONDS
            while not (up := seen(f"{asked}/query?query=serve_model_info").get("result")):
                assert time.monotonic() < until
                time.sleep(0.2)
            groups = seen(f"{asked}/rules")["groups"]

    assert up[0]["metric"]["model"] == "made"
    assert {rule["name"] for group in groups for rule in group["rules"]} == {
        rule.get("alert") or rule["record"] for rule in all_rules()
    }


def seen(url: str) -> dict:
    """What Prometheus says; nothing before it has started."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=60) as answer:
            return json.loads(answer.read())["data"]
    except OSError:
        return {}
