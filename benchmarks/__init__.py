"""Benchmarks run by hand: not installed with the product and not part of the test suite."""
