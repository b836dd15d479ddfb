"""What was measured of two revisions: their files, their results, what changed between them."""
