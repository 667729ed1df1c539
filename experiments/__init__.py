"""Programs that prune, train and compare: `python -m experiments.prune --help`."""
