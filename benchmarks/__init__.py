"""Scripts that write the measured pages under ``docs``; part of the repository, not of a wheel."""
