"""Results of the literature, run again: `python -m experiments list | run NAME | report`."""
