"""DVC's remote at DagsHub: written by `make dagshub`, used by CI when a token is there.

CI gives the remote to DVC in memory, so the token reaches no file of a machine that others may use.
"""

import os
import re
import sys
from collections.abc import Mapping

from lab.base.errors import LabError, shortened
from lab.base.script import run_script

DAGSHUB = "https://dagshub.com"
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
ENDINGS = (".git", ".mlflow", ".dvc", ".s3")  # of the addresses that DagsHub shows of a repository
# The first that is set holds the token; the last is MLflow's own.
TOKEN_VARIABLES = ("DAGSHUB_USER_TOKEN", "DAGSHUB_ACCESS_TOKEN", "MLFLOW_TRACKING_PASSWORD")
NAME = "dagshub"
USAGE = "usage: python -m lab.base.remote write OWNER/NAME | pull | push"


def main() -> None:
    """Writes the remote, or moves data and cached runs; without a token it moves nothing.

    Raises:
        LabError: the command or the repository's name is wrong.
    """
    match sys.argv[1:]:
        case ["write", repository]:
            write(repository)
        case ["pull" | "push" as direction]:
            transfer(direction)
        case _:
            raise LabError(USAGE)


def write(repository: str, environment: Mapping[str, str] = os.environ) -> None:
    """Makes DagsHub the default remote; a token goes to the file that git ignores.

    Raises:
        LabError: the repository is no `owner/name`, and no address of one.
    """
    from dvc.repo import Repo  # takes a second to import

    remote = {"url": _url(repository, environment, "REPO")}
    with Repo() as repo:
        with repo.config.edit("repo") as config:
            config["remote"][NAME] = remote
            config["core"]["remote"] = NAME
        print(f".dvc/config: remote {NAME} is {remote['url']}")
        if token := dagshub_token(environment):
            with repo.config.edit("local") as config:
                config["remote"][NAME] = _login(token)
            print(".dvc/config.local: the token from the environment; git ignores this file")
        else:
            print(f"set {TOKEN_VARIABLES[0]} and repeat this to use it from here")


def transfer(direction: str, environment: Mapping[str, str] = os.environ) -> None:
    """Moves what `dvc.lock` names between DVC's cache and DagsHub; a failure is one line.

    What cannot be pulled is computed again, so nothing here is worth stopping for.

    Raises:
        LabError: the repository is no `owner/name`, and no address of one.
    """
    repository, token = environment.get("DAGSHUB_REPO", "").strip(), dagshub_token(environment)
    if not repository or not token:
        return
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    remote = {"url": _url(repository, environment, "DAGSHUB_REPO"), **_login(token)}
    try:
        with Repo(config={"remote": {NAME: remote}}) as repo:
            count = (repo.fetch if direction == "pull" else repo.push)(remote=NAME)
    except (DvcException, OSError) as error:
        reason = shortened(str(error).replace(token, "***"), 160)
        print(f"DagsHub: nothing or not all was {direction}ed ({type(error).__name__}: {reason})")
    else:
        print(f"DagsHub: {count} files {direction}ed")


def _url(repository: str, environment: Mapping[str, str], name: str) -> str:
    return f"{dagshub_host(environment)}/{dagshub_repository(repository, environment, name)}.dvc"


def dagshub_repository(
    value: str, environment: Mapping[str, str], name: str = "DAGSHUB_REPO"
) -> str:
    """`owner/name` of a repository at DagsHub, which may be given as any address of it.

    >>> dagshub_repository(" https://dagshub.com/owner/name.git/ ", {})
    'owner/name'

    Raises:
        LabError: it is neither; the message begins with `name` and shows no login.
    """
    found = without_login = value.strip().strip("\"'").rpartition("@")[2]
    host = re.escape(dagshub_host(environment).rpartition("://")[2])
    if address := re.fullmatch(rf"(?:\w+://)?(?:www\.)?{host}[/:](.*)", found, re.IGNORECASE):
        found = "/".join(address[1].strip("/").split("/")[:2])  # what follows is a page of it
    found = found.strip("/ ")
    for ending in ENDINGS:
        found = found.removesuffix(ending)
    if not REPOSITORY.fullmatch(found):
        got = shortened(repr(without_login), 60)
        raise LabError(f"{name}: must be owner/name; got {got}; correct it")
    return found


def _login(token: str) -> dict[str, str]:
    return {"auth": "basic", "user": token, "password": token}  # as DagsHub's own client does


def dagshub_host(environment: Mapping[str, str]) -> str:
    """The address of DagsHub, or of an instance of one's own."""
    return environment.get("DAGSHUB_CLIENT_HOST", "").strip().rstrip("/") or DAGSHUB


def dagshub_token(environment: Mapping[str, str]) -> str:
    """The token in the first variable that holds one; empty when none does."""
    return next((environment[name] for name in TOKEN_VARIABLES if environment.get(name)), "")


if __name__ == "__main__":
    run_script(main)
