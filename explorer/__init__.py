"""Under my budget, should I ship a bigger model, an ensemble, a cascade, or a distilled one?

The vocabulary (`explorer.spec`, `explorer.convention`, `explorer.record`) is what the rooms share:
`explorer.data`, `explorer.accounting`, `explorer.measure`, `explorer.store`, `explorer.analysis`,
`explorer.report`, `explorer.build`. Importing this package imports none of them.
"""

__version__ = "0.1.0"
