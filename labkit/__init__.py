"""labkit: a lab bench for small, fast neural networks."""

__version__ = "0.1.0"
