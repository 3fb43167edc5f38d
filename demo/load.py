"""Load the flights into the broker of the local stack: ``python -m demo.load``."""

from __future__ import annotations

from pathlib import Path

from demo import flights
from demo.broker import Broker
from demo.poison import hidden_in
from streamlab import stack

TARGET = "long_haul"
"""The topic that the tutorial's second pipeline writes to: a sink creates none."""

WEATHER = "weather"
"""The topic with the hourly weather of the three airports."""

CLEAN_FROM = 0.8
"""Behind this part of the topic every object fits: notebooks infer the schema there."""


def load(kafka: str) -> None:
    """Create the tutorial's topics and send the flights, poison among them."""
    batch = hidden_in(flights.messages(flights.flights()), unfitting_until=CLEAN_FROM)
    for topic in (flights.TOPIC, TARGET):
        flights.create_topic(kafka, topic)
    flights.send(flights.producer(kafka), flights.TOPIC, batch)
    flights.create_topic(kafka, WEATHER)
    flights.send(flights.producer(kafka), WEATHER, flights.weather())


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
