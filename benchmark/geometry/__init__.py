"""Cameras, range sensors and the points of a scene."""
