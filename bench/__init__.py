"""Side-by-side measurements of Visto and its peers: ``make bench``, or ``python -m bench --help``."""
