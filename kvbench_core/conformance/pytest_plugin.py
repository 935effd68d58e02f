"""pytest plugin (see docs/contract.md)."""
