"""What the init container does: one version of a registered model, from the registry into a directory, checked."""
