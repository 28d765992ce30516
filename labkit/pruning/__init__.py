"""Pruning: which weights go, how many, and how the network recovers. The folders are the families; their files are the methods."""
