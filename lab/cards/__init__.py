"""The card of the chosen model: what its team says of it, and what was measured."""
