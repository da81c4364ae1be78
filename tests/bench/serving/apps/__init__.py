"""Programs that run in the environments of the peers, not in the workspace's."""
