"""``streamlab doctor``: test a connection step by step."""

from __future__ import annotations

import argparse

SYSTEMS = ("kafka", "postgres")


def add(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    del name
    parser.description = (
        "Test a connection step by step: settings, name, reach, TLS, login, brokers, "
        "and rights one by one; for postgres all that reading its changes needs, with "
        "the SQL that mends it. Creates nothing, commits nothing, reads no event."
    )
    parser.add_argument("system", choices=SYSTEMS, help="what to connect to")
    parser.add_argument(
        "dsn",
        nargs="?",
        default="",
        help="postgres: a connection string; else the profile's",
    )
    parser.add_argument("--profile", default="", help="profile of streamlab.toml")
    parser.add_argument(
        "--table",
        action="append",
        default=[],
        metavar="SCHEMA.TABLE",
        help="postgres: a table that should be readable; may be repeated",
    )
    parser.add_argument("--topic", default="", help="a topic that should be readable")
    parser.add_argument("--group", default="", help="a group that should be usable")
    parser.add_argument(
        "--write", default="", metavar="TOPIC", help="a topic that should be writable"
    )


def run(name: str, arguments: argparse.Namespace) -> int:
    """Print what each step found; exit code 1 if one failed."""
    del name
    from streamlab import doctor

    if arguments.system == "postgres":
        found = doctor.postgres(
            arguments.profile, dsn=arguments.dsn, tables=arguments.table
        )
    else:
        found = doctor.kafka(
            arguments.profile,
            topic=arguments.topic,
            group=arguments.group,
            write=arguments.write,
        )
    print(found)
    return 0 if found.ok else 1
