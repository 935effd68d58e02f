"""Read-only views of a run directory."""
