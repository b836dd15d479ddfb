"""The examples: where they come from, how they are split, kept and described. Makes numbers."""
