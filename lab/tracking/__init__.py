"""Runs in MLflow: recorded locally, mirrored to a server."""
