"""``streamlab topics``: what a broker has."""

from __future__ import annotations

import argparse

import polars as pl


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    del name
    parser.add_argument("--profile", default="", help="profile of streamlab.toml")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(name: str, arguments: argparse.Namespace) -> int:
    """Print the topics with their partitions, messages and times."""
    del name
    from streamlab.connectors.kafka.topics import topics

    found = topics(arguments.profile)
    if arguments.json:
        print(found.write_ndjson(), end="")
    elif found.is_empty():
        print("the broker has no topics")
    else:
        with pl.Config(
            tbl_rows=-1,
            tbl_width_chars=120,
            fmt_str_lengths=80,
            tbl_hide_dataframe_shape=True,
            tbl_hide_column_data_types=True,
        ):
            print(found)
    return 0
