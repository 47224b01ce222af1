"""Training: the LightningModule, its metrics, its logs and what happens at its end."""
