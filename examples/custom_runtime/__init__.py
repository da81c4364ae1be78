"""A server of one's own for `runtime.type: Custom`."""
