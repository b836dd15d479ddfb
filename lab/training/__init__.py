"""How a model is trained: stacks of seeds, loop, optimizer, checkpoints. Makes numbers."""
