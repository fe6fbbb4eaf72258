"""Procedural furnished rooms, and how an observer walks through them."""
