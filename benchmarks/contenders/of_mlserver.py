"""MLServer with a runtime of one's own, as its documentation has it for what it does not know."""

from typing import Any

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
from network import Network


class Runtime(MLModel):
    """The network behind /v2/models/network/infer."""

    async def load(self) -> bool:
        """Loads it."""
        self.network = Network()
        return True

    async def predict(self, payload: Any) -> Any:
        """Probabilities of the first input."""
        found = self.network(NumpyCodec.decode_input(payload.inputs[0]))
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("probabilities", found)]
        )
