"""The model: attention by segment, the loss on completions, the folder that holds it."""
