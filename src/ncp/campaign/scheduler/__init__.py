"""What a build knows of the machinery that runs its workers: which processes live, and Hydra's sweeps on a cluster."""
