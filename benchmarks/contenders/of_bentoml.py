"""BentoML with one worker."""

import bentoml
import numpy as np
from network import Network


@bentoml.service(workers=1)
class Service:
    """The network behind /predict."""

    def __init__(self) -> None:
        self.network = Network()

    @bentoml.api
    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Probabilities of images."""
        return self.network(inputs)
