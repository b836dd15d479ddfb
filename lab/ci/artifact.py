"""What a run of a pull request's own code left behind, all of it the author's to choose.

One JSON member is read of it, in memory, and checked against the schema; no code of it is run.
"""

import io
import zipfile
import zlib

from lab.base.errors import DataError
from lab.ci.github import Api
from lab.ci.pulls import WorkflowRun
from lab.evidence import schema
from lab.evidence.schema import Evidence

ARTIFACT, MEMBER = "report", "report.json"
MAX_ZIP_BYTES = schema.MAX_BYTES
# What zipfile raises for archives that are damaged, encrypted or made to break it.
ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError)


def read_report(api: Api, run: WorkflowRun) -> Evidence:
    """What the run's own code measured, checked against the schema and against the run's commit.

    Raises:
        DataError: there is no report, it breaks a rule, or it is of another commit.
        GitHubError: GitHub cannot be asked.
    """
    listed = api.pages(f"actions/runs/{run.id}/artifacts", "artifacts", name=ARTIFACT)
    found = [one for one in listed if one["name"] == ARTIFACT and not one["expired"]]
    if not found:
        raise DataError("the run left no report behind")
    newest = max(found, key=lambda one: int(one["id"]))  # a run that was repeated has several
    if newest["size_in_bytes"] > MAX_ZIP_BYTES:
        raise DataError(f"the artifact has more than {MAX_ZIP_BYTES:,} bytes")
    archive = api.download(f"actions/artifacts/{int(newest['id'])}/zip", MAX_ZIP_BYTES)
    given = schema.parse(json_member(archive), MEMBER)
    if given.candidate.commit != run.head_sha:
        commit = given.candidate.commit[:12]
        raise DataError(f"{MEMBER}: it is of {commit}, but the run was of {run.head_sha[:12]}")
    return given


def json_member(archive: bytes) -> bytes:
    """`report.json` of a zip file that nobody has to trust; nothing is written anywhere.

    At most one byte more than the schema allows is unpacked, whatever the archive says of itself.

    Raises:
        DataError: it is no zip file, or has not exactly one such member, plainly packed.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            members = [one for one in opened.infolist() if one.filename == MEMBER]
            if len(members) != 1:
                raise DataError(f"the artifact holds {len(members)} files called {MEMBER}, not one")
            # Python unpacks other methods without a bound.
            if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError(f"{MEMBER} is packed in an unusual way")
            with opened.open(members[0]) as file:
                return file.read(schema.MAX_BYTES + 1)
    except ZIP_FAULTS:
        raise DataError("the artifact is no readable zip file") from None
