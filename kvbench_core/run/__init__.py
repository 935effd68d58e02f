"""Runs: what to do, doing it, and the directory that remembers it."""
