"""Benchmarks of cgru, a folder per experiment; README.md is the map."""
