"""Training: one LightningModule per task over any backbone, recipes, schedules, checkpoints, and what assembles a run."""
