"""The Kubernetes side: reading objects into snapshots, building them, and calling the API server."""
