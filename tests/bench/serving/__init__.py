"""The serving runtime beside its peers (`make bench-serving`): see tests/bench/README.md."""
