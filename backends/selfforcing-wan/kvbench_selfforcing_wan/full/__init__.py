"""The full-size generators: their weights, text encoder and VAE."""
