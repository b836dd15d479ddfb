"""What a run of a pull request's own code left behind, all of it the author's to choose.

One JSON member is read of it, in memory, and checked against its schema; no code of it is run.
"""

import io
import zipfile
import zlib
from datetime import datetime, timedelta

from lab.base.errors import DataError
from lab.ci.github import Api
from lab.ci.pulls import FromGitHub, WorkflowRun
from lab.evidence import failure, schema
from lab.evidence.failure import Failure
from lab.evidence.schema import Evidence

ARTIFACT = "report"
JOB = "Train and collect"
REPORT, FAILURE = "report.json", "failure.json"
MAX_ZIP_BYTES = schema.MAX_BYTES
SLACK = timedelta(minutes=1)  # between the clocks of GitHub's lists of jobs and of artifacts
# What zipfile raises for archives that are damaged, encrypted or made to break it.
ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError)


class Job(FromGitHub):
    """A job that has ended."""

    name: str
    conclusion: str | None
    started_at: datetime
    completed_at: datetime


class Artifact(FromGitHub):
    """An artifact, as lists show it."""

    id: int
    name: str
    size_in_bytes: int
    expired: bool
    created_at: datetime


def left_by(api: Api, run: WorkflowRun) -> Evidence | Failure:
    """What the run's own code measured, or why it could not, checked against the run's commit.

    What an earlier attempt left does not count.

    Raises:
        DataError: it left nothing, or what breaks a rule, or is of another commit.
        GitHubError: GitHub cannot be asked.
    """
    job = _job(api, run)
    archive = api.download(f"actions/artifacts/{_newest(api, run, job).id}/zip", MAX_ZIP_BYTES)
    name, content = json_member(archive)
    given = schema.parse(content, name) if name == REPORT else failure.parse(content, name)
    commit = given.candidate.commit if isinstance(given, Evidence) else given.commit
    if commit != run.head_sha:
        raise DataError(f"{name}: it is of {commit[:12]}, but the run was of {run.head_sha[:12]}")
    return given


def _job(api: Api, run: WorkflowRun) -> Job:
    """The newest attempt of the job that measures; others may have been run again without it."""
    listed = api.pages(f"actions/runs/{run.id}/jobs", "jobs", filter="all")
    named = [one for one in listed if one["name"] == JOB]
    newest = max(named, key=lambda one: (one["run_attempt"], one["id"]), default=None)
    if newest is None or not (newest["started_at"] and newest["completed_at"]):
        raise DataError(f"the run ended with {run.conclusion}, and measured nothing; run it again")
    return Job.model_validate(newest)


def _newest(api: Api, run: WorkflowRun, job: Job) -> Artifact:
    """The artifact of the attempt that counts."""
    path = f"actions/runs/{run.id}/artifacts"
    listed = map(Artifact.model_validate, api.pages(path, "artifacts", name=ARTIFACT))
    first, last = job.started_at - SLACK, job.completed_at + SLACK
    found = [one for one in listed if one.name == ARTIFACT and first <= one.created_at <= last]
    if not found:
        raise DataError(f"the run left no report behind; {JOB!r} ended with {job.conclusion}")
    newest = max(found, key=lambda one: one.id)
    if newest.expired:
        raise DataError("GitHub has deleted the run's report, it was too old; run it again")
    if newest.size_in_bytes > MAX_ZIP_BYTES:
        raise DataError(f"the artifact has more than {MAX_ZIP_BYTES:,} bytes")
    return newest


def json_member(archive: bytes) -> tuple[str, bytes]:
    """The one member of a zip file that nobody has to trust; nothing is written anywhere.

    At most one byte more than the schema allows is unpacked, whatever the archive says of itself.

    Returns:
        `report.json` or `failure.json`, and its bytes.

    Raises:
        DataError: it is no zip file, or has not exactly one such member, plainly packed.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            members = [one for one in opened.infolist() if one.filename in (REPORT, FAILURE)]
            if len(members) != 1:
                raise DataError(f"the artifact holds {len(members)} files called {REPORT}, not one")
            # Python unpacks other methods without a bound.
            if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError(f"{members[0].filename} is packed in an unusual way")
            with opened.open(members[0]) as file:
                return members[0].filename, file.read(schema.MAX_BYTES + 1)
    except ZIP_FAULTS:
        raise DataError("the artifact is no readable zip file") from None
