"""The demo: the main job on real data, with a kill in the middle and a proof.

``make demo`` runs :mod:`demo.__main__`. Nothing of the demo is part of the package;
its proof uses polars, the plain clients and none of streamlab's code.
"""
