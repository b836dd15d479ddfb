"""Inputs of another kind than in training: what is measured of them, and what may befall them."""
