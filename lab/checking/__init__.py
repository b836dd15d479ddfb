"""Data before training: what is wrong with their structure, and which labels may be mistakes."""
