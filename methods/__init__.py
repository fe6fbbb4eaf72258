"""Methods: one file is one row of every table; the file name is the method's name everywhere.

A module defines a frozen dataclass ``Config`` and one subclass of ``wsss.benchmark.Method`` that says which losses it
minimises and how it predicts. It imports ``wsss.benchmark`` and, at most, the one module that it extends; a leading
underscore marks a helper. Nothing has to be registered: tests, training and tables find the file by its being here.
CONTRIBUTING.md shows a complete method.
"""
