"""Searches that pay for every evaluation: some tens of trained architectures a run, many runs at once, to compare strategies.

>>> from ncp.search.querying import compare                                                        # doctest: +SKIP
>>> compare.run(ground, ["random", "rea", "rounds"], queries=50, seeds=20)                         # doctest: +SKIP
"""
