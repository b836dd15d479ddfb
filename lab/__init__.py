"""What the pipeline's stages share: one flat package, a noun per module."""
