"""What a stranger's run may leave behind."""

import io
import stat
import struct
import tracemalloc
import zipfile
import zlib

import pytest
from evidences import evidence
from github_server import zipped
from reporting import FORK, SHA, packed, the_run

from lab.base.errors import DataError
from lab.ci import artifact
from lab.ci.github import GitHubError


def read(api, server, archive: bytes | None):
    return artifact.left_by(api, the_run(server, server.add_pull(7, SHA, "change", FORK), archive))


def test_the_report_is_read_and_the_token_stays_at_github(api, server):
    assert read(api, server, packed()).candidate.commit == SHA
    assert set(server.tokens) == {"Bearer the-token"}


def test_the_newest_of_several_attempts_counts(api, server):
    run = the_run(server, server.add_pull(7, SHA, "change", FORK), b"garbage")
    server.add_artifact(30, 301, packed())

    assert artifact.left_by(api, run).candidate.commit == SHA


def symlink() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        entry = zipfile.ZipInfo("report.json")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return written.getvalue()


def twice() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("report.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("report.json", "{}")
    return written.getvalue()


def lying() -> bytes:
    """A member that says it has ten bytes."""
    content = bytearray(zipped({"report.json": bytes(10**6)}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(signature) + offset
        content[at : at + 4] = (10).to_bytes(4, "little")
    return bytes(content)


HOSTILE = {
    "none at all": (lambda: None, "no report behind"),
    "no zip file": (lambda: b"PK\x03\x04 and nothing more", "no readable zip"),
    "empty": (lambda: zipped({}), "holds 0 files"),
    "path traversal": (lambda: zipped({"../report.json": b"{}"}), "holds 0 files"),
    "absolute path": (lambda: zipped({"/report.json": b"{}"}), "holds 0 files"),
    "a symbolic link": (symlink, "invalid json"),
    "two of a name": (twice, "holds 2 files"),
    "a report and a failure": (
        lambda: zipped({"report.json": b"{}", "failure.json": b"{}"}), "holds 2 files",
    ),
    "bzip2": (lambda: zipped({"report.json": bytes(99)}, zipfile.ZIP_BZIP2), "unusual way"),
    "a false size": (lying, "no readable zip|invalid json"),
    "invalid UTF-8": (lambda: zipped({"report.json": b'{"margin": "\xff\xfe"}'}), "json"),
    "another number": (lambda: packed(number=1), "extra inputs are not permitted"),
    "not finite": (lambda: zipped({"report.json": b'{"margin": NaN}'}), "json|finite"),
    "deep": (lambda: zipped({"report.json": b"[" * 10**6}), "json"),
    "another commit": (
        lambda: packed(candidate={**evidence()["candidate"], "commit": "d" * 40}),
        "it is of dddddddddddd, but the run was of 222222222222",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_artifact_is_refused_in_one_line(api, server, case):
    archive, reason = HOSTILE[case]

    with pytest.raises(DataError, match=reason) as refused:
        read(api, server, archive())

    message = str(refused.value)
    assert message.isascii()
    assert "\n" not in message


def bomb(chunks: int) -> bytes:
    """A zip file of `chunks` times 16 MiB of zeros, without compressing them one by one."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    chunk = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = chunk * chunks + packer.flush()
    name, sizes = b"report.json", (0, len(packed), chunks * 2**24)
    local = struct.pack("<4s5HIIIHH", b"PK\x03\x04", 20, 0, 8, 0, 33, *sizes, len(name), 0)
    fields = (20, 20, 0, 8, 0, 33, *sizes, len(name), 0, 0, 0, 0, 0, 0)
    central = struct.pack("<4s6HIIIHHHHHII", b"PK\x01\x02", *fields) + name
    start = len(local) + len(name) + len(packed)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(central), start, 0)
    return local + name + packed + central + end


def test_two_gigabytes_of_zeros_are_not_unpacked(api, server):
    archive = bomb(128)
    assert zipfile.ZipFile(io.BytesIO(archive)).infolist()[0].file_size == 2**31
    tracemalloc.start()

    with pytest.raises(DataError, match="at most 20,971,520 bytes"):
        read(api, server, archive)

    assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    tracemalloc.stop()


def test_an_archive_that_is_itself_too_large_is_not_downloaded_whole(api, server):
    archive = bytes(artifact.MAX_ZIP_BYTES + 2)

    with pytest.raises(DataError, match="more than"):
        read(api, server, archive)
    server.artifacts[0]["size_in_bytes"] = 5  # GitHub itself would have to lie
    with pytest.raises(GitHubError, match="more than"):
        artifact.left_by(api, the_run(server, server.pulls[0]))
