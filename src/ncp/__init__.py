"""Design one vision network for many tasks by inverting performance predictors (network coding propagation).

The library's parts, lowest first; each imports only from those before it:

``spaces`` (what an architecture is, numpy alone), ``benchmark`` (tables of trained architectures), ``models``, ``data``,
``metrics``, ``tasks`` (training), ``predictors`` (code -> metrics), ``search`` (propagation and its baselines), ``campaign``
(training thousands), ``report`` (pictures and tables), ``cli``.

Importing ``ncp`` imports none of them.
"""

__version__ = "0.1.0"
