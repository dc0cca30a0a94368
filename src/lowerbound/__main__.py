"""`python -m lowerbound` is the command `lowerbound`."""

from .cli.main import main

main()
