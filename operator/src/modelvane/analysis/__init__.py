"""What a candidate does under traffic: measured by asking pods and Prometheus, judged by pure functions."""
