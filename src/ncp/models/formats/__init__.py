"""Networks in the forms of other programs: what a file of each is, and who writes it."""
