"""Scripts that measure; ``python -m benchmarks`` runs them all and prints the README's table."""
