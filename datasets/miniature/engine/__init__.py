"""Surfaces, materials and light; cameras and laser scanners by ray casting."""
