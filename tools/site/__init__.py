"""What the site is made of besides its pages: the reference, the cards, the notebooks, and the check of its links."""
