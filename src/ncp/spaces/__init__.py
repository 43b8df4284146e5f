"""What an architecture is: search spaces and their exact costs. Needs numpy alone."""

from ncp.spaces.base import Architecture, Cost, Space, get, names, widths

__all__ = ["Architecture", "Cost", "Space", "get", "names", "widths"]
