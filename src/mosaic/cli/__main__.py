"""`python -m mosaic.cli`: the command line, where the script is not installed."""

from mosaic.cli.main import main

main()
