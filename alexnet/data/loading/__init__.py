"""Batches for training, from memory or from disk."""
