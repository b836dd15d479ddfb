"""The steps of a pull request: GitHub, CML, the comment, the check."""
