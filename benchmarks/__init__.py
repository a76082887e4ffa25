"""Measurements that anyone can repeat: ``python -m benchmarks --help``. Results are kept in ``results/``."""
