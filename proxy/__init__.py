"""mosk-proxy: the one door to a MOSK installation. The rooms and their order are in docs/architecture.md."""

__version__ = "0.1.0"
