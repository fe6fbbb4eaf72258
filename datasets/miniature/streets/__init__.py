"""Procedural streets with their traffic, and how an observer drives through them."""
