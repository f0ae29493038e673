"""mosk-proxy: the one door to a MOSK installation. The rooms and their order are in docs/architecture.md."""
