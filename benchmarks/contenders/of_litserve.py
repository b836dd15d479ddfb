"""LitServe as its documentation begins: one worker, no batches. `of_litserve.py PORT`."""

import sys
from typing import Any

import litserve
from network import Network


class API(litserve.LitAPI):
    """The network behind /predict."""

    def setup(self, device: str) -> None:
        """Loads it in the worker."""
        self.network = Network()

    def decode_request(self, request: dict[str, Any]) -> Any:
        """The images of a JSON object."""
        return request["inputs"]

    def predict(self, inputs: Any) -> Any:
        """Their probabilities."""
        return self.network(inputs)

    def encode_response(self, output: Any) -> dict[str, Any]:
        """As JSON."""
        return {"probabilities": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(API(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
