"""The exported model in use: no torch, DVC or MLflow."""
