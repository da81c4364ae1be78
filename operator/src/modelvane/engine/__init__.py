"""The rollout engine: what should be, from what was seen. Pure."""
