"""What the analyses print; the commands import these modules when they run."""
