"""Differences, intervals and verdicts: arrays in, values out."""
