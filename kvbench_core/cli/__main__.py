"""``python -m kvbench_core.cli`` is ``kvbench``."""

from kvbench_core.cli import main

main(prog_name="kvbench")
