"""The ring's speed: each figure beside its limit and its peers, measured in the same run."""
