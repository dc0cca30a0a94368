"""`python -m lowerbound` is the command `lowerbound`."""

from .cli import main

main()
