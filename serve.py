"""Serves the exported model over HTTP, with a page; by default to this machine alone."""

from lab.base.script import begin, run_script

if __name__ == "__main__":
    begin()

import argparse
import ipaddress
import socket
import sys
from pathlib import Path

from lab.base.errors import ParamsError, shortened
from lab.base.serve_params import OFF, TOKEN, ServeParams, checked_token
from lab.serving.app import Application
from lab.serving.connections import Server
from lab.serving.monitored import Found
from lab.serving.network import MODEL
from lab.serving.records import Recorder
from lab.serving.service import Service

PARAMS = Path("params.yaml")


def main() -> None:
    """Loads the model, then answers until it is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0: any machine may ask")
    parser.add_argument("--port", default="8000", help="0: one that is free")
    parser.add_argument("--model", type=Path, default=MODEL, help="an ONNX file")
    parser.add_argument("--record", help="a folder that keeps inputs, answers and feedback")
    options = parser.parse_args()
    params = serve_params()
    token = checked_token()
    listener = listening(options.host, options.port)
    is_local = ipaddress.ip_address(listener.getsockname()[0]).is_loopback
    service = Service(options.model, params, token, is_local=is_local)
    folder = params.record if options.record is None else options.record
    if folder != OFF:
        service.recorder = Recorder(Path(folder), params.record_bytes)
        service.metrics.monitored = Found(Path(folder))
    if not is_local and not token:
        print(f"anybody who reaches this machine may ask: {TOKEN} is not set", file=sys.stderr)
    Server(Application(service), listener, params.body_seconds, service.end).answer()


def serve_params() -> ServeParams:
    """Section `serve` of params.yaml, where there is such a file.

    Raises:
        ParamsError: it breaks a rule.
    """
    if not PARAMS.exists():  # in an image
        return ServeParams()
    from lab.base import params

    return params.load(PARAMS).serve


def listening(host: str, port: str) -> socket.socket:
    """A socket where clients may come in; before the model is loaded, so that none is turned away.

    Raises:
        ParamsError: the port is none, or is in use; the host is not one of this machine.
    """
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        got = shortened(repr(port), 60)
        raise ParamsError(f"--port: must be a number from 0 to 65535; got {got}; correct it")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family, backlog=2_048)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        where = f"{shortened(host, 60)}:{port}"
        raise ParamsError(
            f"--port: must be free on this machine; got {where} ({str(reason).lower()}); "
            "stop what listens there, or give another --port"
        ) from None


if __name__ == "__main__":
    run_script(main)
