"""Requests and answers: bytes to tables and back, by MLflow's formats and the Open Inference Protocol."""
