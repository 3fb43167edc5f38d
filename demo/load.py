"""Load the flights into the broker of the local stack: ``python -m demo.load``."""

from __future__ import annotations

from pathlib import Path

from demo import flights
from demo.broker import Broker
from demo.poison import hidden_in
from streamlab import stack

CLEAN_FROM = 0.8
"""Behind this part of the topic every object fits: notebooks infer the schema there."""


def load(kafka: str) -> None:
    """Create the topic and send every flight, with poison among them."""
    batch = hidden_in(flights.messages(flights.flights()), unfitting_until=CLEAN_FROM)
    flights.create_topic(kafka, flights.TOPIC)
    flights.send(flights.producer(kafka), flights.TOPIC, batch)


def main() -> None:
    """Load them unless they are there."""
    kafka = stack.up(Path.cwd(), servers=["kafka"]).kafka
    broker = Broker(kafka)
    if flights.TOPIC in broker.topics() and broker.messages(
        flights.TOPIC, flights.PARTITIONS
    ):
        print(f"topic {flights.TOPIC} is loaded")
        return
    load(kafka)
    print(f"loaded topic {flights.TOPIC}")


if __name__ == "__main__":
    main()
