"""What lies between a CPU's matrix products, compiled for it where a compiler is at hand."""
