"""What tests of reports at the stand-in for GitHub share."""

import json

from evidences import COMMITS, evidence, shifted
from github_server import GitHub, repository, zipped

from lab.ci.pulls import WorkflowRun

SHA = COMMITS[1]  # the candidate of the made-up evidence
FORK = repository("stranger", 2)
MARK = "<!-- fair-trial report -->"
SERVER = "https://github.com"


def packed(**more) -> bytes:
    return zipped({"report.json": json.dumps(evidence(shifted(-0.005, 0.0005), **more)).encode()})


def the_run(server: GitHub, pull, archive: bytes | None = None, number: int = 30) -> WorkflowRun:
    return WorkflowRun.model_validate(server.add_run(number, pull, archive)["workflow_run"])


# A program in place of CML, and how it is called.
RECORDER = """\
#!{python}
import json, os, pathlib, sys
record = {{"arguments": sys.argv[1:-1], "markdown": pathlib.Path(sys.argv[-1]).read_text(),
          "token": os.environ["REPO_TOKEN"], "quiet": os.environ["ITERATIVE_DO_NOT_TRACK"],
          "git": os.environ["GIT_CONFIG_GLOBAL"]}}
with open({log!r}, "a") as log:
    print(json.dumps(record), file=log)
sys.exit({code})
"""

COMMENT = [
    "comment", "update", "--target", "pr/7", "--publish=false", "--watermark-title", "fair trial",
    "--driver", "github", "--repo", "https://github.com/owner/lab",
]  # fmt: skip
