"""The explorer: one HTML file in which a network is redrawn while one moves what it should be good at.

``page/`` holds the page's modules; :mod:`ncp.explore.describe` says in one description what they must know of the space, the
predictors and the machines; :mod:`ncp.explore.bundle` joins everything into one file that asks for nothing else.
"""
