"""Architectures, their untrained parameters and forward passes; and networks that a user brings."""
