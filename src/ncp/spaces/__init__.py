"""What an architecture is: search spaces and their exact costs. Needs numpy alone."""

from ncp.spaces.base import AnyArchitecture, Cost, Space, get, names, of_form, of_text, parsed, sampled, widths

__all__ = ["AnyArchitecture", "Cost", "Space", "get", "names", "of_form", "of_text", "parsed", "sampled", "widths"]
