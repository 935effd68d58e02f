"""kvbench: a benchmark of KV-cache compression for self-forcing video generation."""
