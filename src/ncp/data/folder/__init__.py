"""Data sets of a user's own, in the layouts that people have already: one module a task (``cls``, ``seg``, ``det3d``, ``video``),
and what they share: how files are found and split (``files``, ``splits``), classes files (``classes``), how images of any kind
become a network's input (``reading``).

Nothing is ever written into a user's folder.
"""
