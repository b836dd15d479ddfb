"""A bare repository with pull requests, a clone to work in, and the trusted side's clone."""

import subprocess
from pathlib import Path

from github_server import GitHub

from lab.ci.pulls import Pull


class Clones:
    """The branch `trunk` is the default one, as nothing may depend on another name."""

    def __init__(self, folder: Path, trusted: Path) -> None:
        folder.mkdir()
        self.bare, self.work, self.trusted = folder / "bare", folder / "work", trusted
        self.run(folder, "init", "-q", "--bare", "-b", "trunk", str(self.bare))
        for clone in (self.work, self.trusted):
            clone.mkdir(exist_ok=True)
            self.run(clone, "init", "-q", "-b", "trunk")
            self.run(clone, "remote", "add", "origin", f"file://{self.bare}")

    @staticmethod
    def run(folder: Path, *arguments: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        return subprocess.run(
            ["git", *identity, *arguments],
            cwd=folder,
            check=True,
            capture_output=True,
            encoding="utf-8",
        ).stdout.strip()

    def commit(self, message: str, files: dict[str, str]) -> str:
        for name, content in files.items():
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_text(content, encoding="utf-8")
        self.run(self.work, "add", "-A")
        self.run(self.work, "commit", "-qm", message, "--allow-empty")
        return self.head()

    def head(self) -> str:
        return self.run(self.work, "rev-parse", "HEAD")

    def push(self, branch: str, commit: str = "HEAD") -> None:
        self.run(self.work, "push", "-q", "-f", "origin", f"{commit}:refs/heads/{branch}")

    def tag(self, name: str, delete: bool = False) -> None:
        """Lets a tag of origin be at the work's HEAD, or be gone."""
        self.run(
            self.work, "push", "-q", "-f", "origin", f"{'' if delete else 'HEAD'}:refs/tags/{name}"
        )

    def push_pull(self, number: int) -> None:
        """What GitHub does when the branch of a pull request is pushed."""
        self.run(self.work, "push", "-q", "-f", "origin", f"HEAD:refs/pull/{number}/head")

    def go_to(self, commit: str) -> None:
        self.run(self.work, "reset", "-q", "--hard", commit)

    def pull(self, number: int, base: str = "trunk") -> Pull:
        """The work's HEAD as a pull request."""
        self.push_pull(number)
        return Pull.model_validate(GitHub().add_pull(number, self.head(), base=base))
