"""The image: what goes into it, and a real one that is built, started and asked."""

import ast
import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from ruamel.yaml import YAML
from services import Running, digits, drawn, file_of
from support import PATIENCE_SECONDS, ROOT, copy_of_the_code, run_in, started

CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")
PINNED = set(
    re.findall(
        r"^([\w.-]+)==", (ROOT / "requirements-serve.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
)
OPTIONS = ("--isolation", "chroot")  # without the rights and programs that others need
BASE, IMAGE = "localhost/fair-trial-base", "localhost/fair-trial-test"
NOBODY = 10001


def test_the_service_imports_only_what_the_image_has():
    """By its own modules; what packages import beyond them is the resolver's business."""
    script = (
        "import sys, serve; "
        "print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] in ('serve', 'lab')"
        " and m.__file__))"
    )
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    files = run_in(ROOT, kept, sys.executable, "-c", script).split()
    names = {name for file in files for name in imported(Path(file))}
    installed = importlib.metadata.packages_distributions()

    assert {"numpy", "onnxruntime", "pyarrow", "uvicorn"} <= names
    for name in names - sys.stdlib_module_names - {"lab"}:
        assert {found.lower().replace("_", "-") for found in installed[name]} <= PINNED, name


def imported(file: Path) -> Iterator[str]:
    """What a module imports: of the service's own in functions, too."""
    tree = ast.parse(file.read_bytes())
    is_own = file.parent.name == "serving"
    for node in ast.walk(tree) if is_own else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


def test_the_image_has_neither_what_trains_nor_an_unpinned_package():
    assert PINNED & {"torch", "dvc", "mlflow", "pandas", "scipy"} == set()
    installs = [line for line in CONTAINERFILE.splitlines() if "pip" in line and "install " in line]
    assert len(installs) == 1
    assert "--require-hashes -r requirements-serve.txt" in CONTAINERFILE


def test_what_is_copied_reaches_the_builder():
    """Docker reads .dockerignore alone; buildah and podman read it, too."""
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", CONTAINERFILE, re.MULTILINE)

    assert "*" in ignored
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}


def test_compose_checks_health_as_the_image_does():
    compose = YAML(typ="safe").load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    (own,) = re.findall(r"^HEALTHCHECK (.*?) CMD (\[.*?\])$", CONTAINERFILE, re.MULTILINE | re.S)
    theirs = compose["services"]["serve"]["healthcheck"]

    assert theirs["test"] == ["CMD", *json.loads(own[1].replace("\\\n", ""))]
    for name in ("interval", "timeout"):
        assert f"--{name}={theirs[name]}" in own[0]


@pytest.mark.parametrize("name", ["serve", "prometheus"])
def test_what_compose_runs_has_no_rights_and_no_door_to_others(name):
    compose = YAML(typ="safe").load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    service = compose["services"][name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


@contextlib.contextmanager
def running(folder: Path, *command: str) -> Iterator[Running]:
    """What a command serves."""
    log = folder / "log.txt"
    with (
        log.open("w", encoding="utf-8") as file,
        started(*command, cwd=folder, stdout=file, stderr=subprocess.STDOUT) as process,
    ):
        yield Running(process, log)


def knows_a_seven(service: Running) -> bool:
    """Whether it answers for a picture that somebody uploads."""
    (answer,) = service.predict(file_of(drawn("7")), "image/png")
    return answer["class"] == "7"


@pytest.mark.slow
def test_the_service_runs_on_its_own_requirements_alone(tmp_path):
    """As in the image, where nothing else is installed."""
    folder = tmp_path / "environment"
    run_in(ROOT, os.environ, "uv", "venv", "-q", "--python", sys.executable, str(folder))
    python = str(folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    install = ["uv", "pip", "install", "-q", "--python", python, "--require-hashes"]
    run_in(ROOT, os.environ, *install, "-r", "requirements-serve.txt")
    (tmp_path / "model.onnx").write_bytes(digits())

    command = [python, str(ROOT / "serve.py"), "--port", "0", "--model", "model.onnx"]
    with running(tmp_path, *command) as service:
        assert knows_a_seven(service)


# --- a real image --------------------------------------------------------------------------------


def buildah(*arguments: str) -> str:
    return run_in(ROOT, os.environ, "buildah", *arguments).strip()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image, on a base that mmdebstrap makes, for there may be no registry to have one from."""
    for program in ("buildah", "mmdebstrap"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    if os.geteuid() != 0:
        pytest.skip("mmdebstrap and buildah's chroot isolation are tried as root alone")
    folder = tmp_path_factory.mktemp("image")
    make_base(folder / "base.tar")
    copy_of_the_code(folder)
    (folder / "models/export").mkdir(parents=True)
    (folder / "models/export/model.onnx").write_bytes(digits())
    # How this machine reaches packages, and whom it trusts, is what the build needs to know.
    known = [path for path in ("/etc/ssl/certs", "/etc/pip.conf") if Path(path).exists()]
    volumes = [part for path in known for part in ("--volume", f"{path}:{path}:ro")]
    try:
        run_in(
            folder, os.environ, "buildah", "build", *OPTIONS, *volumes, "--format", "docker",
            "--build-arg", f"BASE={BASE}", "--tag", IMAGE, ".",
        )  # fmt: skip
        yield IMAGE
    finally:
        subprocess.run(["buildah", "rmi", "--force", IMAGE, BASE], capture_output=True, check=False)


def make_base(file: Path) -> None:
    """Debian with Python, as the slim images of Python are."""
    packages = "--include=python3,python3-venv,ca-certificates"
    done = subprocess.run(
        ["mmdebstrap", "--variant=minbase", packages, "bookworm", str(file)],
        capture_output=True, encoding="utf-8", timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"mmdebstrap makes no base here: {done.stderr[-300:]}")
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, str(file), "/")
    buildah("commit", "--quiet", "--rm", container, BASE)


@pytest.fixture(scope="module")
def container(image: str) -> Iterator[tuple[str, Path]]:
    """A container of it: its name, and where its files lie."""
    name = buildah("from", image)
    try:
        yield name, Path(buildah("mount", name))
    finally:
        buildah("umount", name)
        buildah("rm", name)


@pytest.mark.slow
def test_an_image_says_what_it_is_and_runs_as_nobody(image):
    config = json.loads(buildah("inspect", "--type", "image", image))["Docker"]["config"]

    assert config["User"] == f"{NOBODY}:{NOBODY}"
    assert config["Entrypoint"][:2] == ["python", "serve.py"]
    assert config["Healthcheck"]["Test"][:2] == ["CMD", "python"]
    assert config["Labels"]["org.opencontainers.image.title"] == "fair-trial"


@pytest.mark.slow
def test_an_image_holds_the_service_and_little_else(container):
    _, root = container
    installed = {
        found.name.lower().replace("_", "-")
        for found in importlib.metadata.distributions(
            path=[str(path) for path in root.glob("venv/lib/python3*/site-packages")]
        )
    }
    added = sum(
        path.lstat().st_size
        for part in ("venv", "app", "model")
        for path in (root / part).rglob("*")
        if path.is_file() and not path.is_symlink()
    )

    assert installed <= PINNED  # no pip either
    assert {path.name for path in (root / "app").iterdir()} == {
        "__pycache__", "lab", "requirements-serve.txt", "serve.py"
    }  # fmt: skip
    assert added < 330e6
    writable = [str(path) for path in (root / "app", root / "venv", root / "model") if
                path.stat().st_uid == NOBODY]  # fmt: skip
    assert writable == []
    assert (root / "records").stat().st_uid == NOBODY


@pytest.mark.slow
def test_an_image_answers_for_a_picture(container, tmp_path):
    name, _ = container
    config = json.loads(buildah("inspect", "--type", "container", name))["Docker"]["config"]
    command = [*config["Entrypoint"][:2], "--port", "0", *config["Entrypoint"][4:]]  # on loopback

    with running(tmp_path, "buildah", "run", *OPTIONS, name, "--", *command) as service:
        assert knows_a_seven(service)
        owners = {
            process.uids().effective
            for process in psutil.Process(service.process.pid).children(recursive=True)
            if process.cmdline()[1:2] == ["serve.py"]
        }

    assert owners == {NOBODY}


@pytest.mark.slow
def test_an_image_needs_nothing_to_write_to_but_for_records(container, tmp_path):
    """Its files are mounted so that nobody can change them, as `read_only` of compose.yaml does."""
    _, root = container
    records = tmp_path / "records"
    records.mkdir()
    os.chown(records, NOBODY, NOBODY)
    script = (
        'mount --rbind "$1" "$1" && mount -o remount,ro,bind "$1" && mount --bind "$2" "$1/records"'
        ' && mount -t proc proc "$1/proc" && exec chroot --userspec=10001:10001 "$1" /bin/sh -c '
        '"cd /app && ! touch /app/x /tmp/x 2>/dev/null && exec /venv/bin/python serve.py --port 0'
        ' --model /model/model.onnx --record /records"'
    )
    command = ["unshare", "--mount", "sh", "-ec", script, "sh", str(root), str(records)]

    with running(tmp_path, *command) as service:
        assert knows_a_seven(service)

    assert list(records.iterdir())
