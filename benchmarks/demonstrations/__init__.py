"""One demonstration for each known defect of the published study."""
