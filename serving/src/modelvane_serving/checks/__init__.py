"""What is found out about a version before it listens: the user's own requests, and its signature against stable's."""
