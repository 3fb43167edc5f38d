"""Nexmark: an auction site's persons, auctions and bids, and the queries on them.

The queries are those of the Nexmark suite as the Apache Beam and Flink projects keep
it, written as streamlab transforms; each result is compared with DuckDB SQL over the
same events.
"""
