"""`python -m asr` is the command `asr`."""

from asr.cli import main

main()
