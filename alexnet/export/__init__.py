"""Trained networks in other forms."""
