"""`make bench-pipeline`: the pipeline beside its limits and its peers, in one run."""
