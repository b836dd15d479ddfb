from pathlib import Path

import pytest

from lab.base.errors import LabError
from lab.tracking.destination import host_of, login, server_url

SECRET = "hush"  # noqa: S105


@pytest.mark.parametrize(
    ("uri", "shown", "advice"),
    [
        ("localhost:5000", "localhost:5000", "did you mean http://localhost:5000?"),
        ("localhost", "localhost", "did you mean http://localhost?"),
        ("mlflow.example.org:80/x", "mlflow.example.org:80/x", "did you mean http://mlflow.exam"),
        ("[::1]:5000", "[::1]:5000", "did you mean http://[::1]:5000?"),
        ("http://::1:5000", "http://::1:5000", "in brackets: http://[::1]:5000"),
        ("http://", "http://", "correct or unset it"),
        ("http://:5000", "http://:5000", "correct or unset it"),
        ("http://host:port", "http://host:port", "correct or unset it"),
        ("http://host:99999", "http://host:99999", "correct or unset it"),
        ("http://host:0", "http://host:0", "correct or unset it"),
        ("http:/host:5000", "http:/host:5000", "correct or unset it"),
        ("http://ho st", "http://ho st", "correct or unset it"),
        ("htp://host", "htp://host", "correct or unset it"),
        ("databricks", "databricks", "correct or unset it"),
        ("file:./mlruns", "file:./mlruns", "correct or unset it"),
        ("./mlruns", "./mlruns", "correct or unset it"),
        ("sqlite:///other.db", "sqlite:///other.db", "correct or unset it"),
        (f"postgresql://me:{SECRET}@host/db", "postgresql://...", "correct or unset it"),
        (f"postgresql://host/db?password=a@{SECRET}", "postgresql://...", "correct or unset it"),
        (f"me:{SECRET}@host:5000", "...", "correct or unset it"),
        (f"http://me:a/{SECRET}@host", "http://...", "are written %2F, %3F, %23 and %40"),
        (f"http://me:12/{SECRET}@host", "http://...", "are written %2F, %3F, %23 and %40"),
        (f"http://me:12#{SECRET}@host", "http://...", "are written %2F, %3F, %23 and %40"),
        (f"http://me:12?{SECRET}@host", "http://...", "are written %2F, %3F, %23 and %40"),
    ],
)
def test_what_is_no_servers_address_is_said_with_the_right_form_and_no_login(
    uri: str, shown: str, advice: str
) -> None:
    with pytest.raises(LabError) as wrong:
        server_url({"MLFLOW_TRACKING_URI": uri})
    message = str(wrong.value)
    assert message.startswith("MLFLOW_TRACKING_URI: must be a server's address, http://host:port")
    assert f"got {shown!r}; " in message
    assert advice in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("", ""),
        ("  ", ""),
        ("http://host:5000", "http://host:5000"),
        ("  https://host/mlflow/ ", "https://host/mlflow"),
        ('"http://host"', "http://host"),
        ("'http://host/'", "http://host"),
        ("HTTP://Host:1", "http://Host:1"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("http://host:5000/#/experiments/1", "http://host:5000"),
        (f"http://me:{SECRET}@host:5000/x", "http://host:5000/x"),
        (f"http://me:%40{SECRET}@host", "http://host"),
    ],
)
def test_a_servers_address_is_taken_as_people_write_it(uri: str, url: str) -> None:
    found = server_url({"MLFLOW_TRACKING_URI": uri})
    assert found.lower() == url.lower()
    assert SECRET not in host_of(found)


def test_a_login_in_the_address_is_the_clients() -> None:
    assert login({"MLFLOW_TRACKING_URI": "http://me:a%2Fb@host"}) == {
        "MLFLOW_TRACKING_USERNAME": "me",
        "MLFLOW_TRACKING_PASSWORD": "a/b",
    }


def test_the_local_store_is_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for uri in ("sqlite:///mlflow.db", f"sqlite:///{tmp_path}/mlflow.db"):  # MLflow sets it to that
        assert server_url({"MLFLOW_TRACKING_URI": uri}) == ""
