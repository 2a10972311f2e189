"""One module per implementation; each runs in a process of its own, possibly of another Python."""
