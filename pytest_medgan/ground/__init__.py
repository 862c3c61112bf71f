"""Shared parts that know nothing of images, models or scores."""
