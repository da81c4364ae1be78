"""The packages that a model was made with, against those of the image: told, and installed if asked to."""
