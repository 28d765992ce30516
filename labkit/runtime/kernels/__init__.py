"""Kernels: what runs. Sparse ones are Numba, dense ones delegate to torch; each has a NumPy reference of its name."""
