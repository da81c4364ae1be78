"""Following MLflow: reading where pointers lead, hearing of changes, writing back what happened."""
