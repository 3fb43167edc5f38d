"""Apache Kafka: one KRaft node, broker and controller in one process."""

from __future__ import annotations

import base64
import signal
import uuid
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from streamlab.stack.jars import fetch
from streamlab.stack.java import find_java
from streamlab.stack.processes import Launch, text_of
from streamlab.stack.server import LOOPBACK, Server, Tell

_JAVA_OPTIONS = (
    "-Xms64m",
    "-Xmx256m",  # enough for millions of events: the log lies in the page cache
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # starts faster, and one laptop's load needs no C2
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Dlog4j2.configurationFile=log4j2.properties",
    "-Dlog4j2.disable.jmx=true",
)

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=data

# A topic that nobody created is a mistake to report, not one to hide.
auto.create.topics.enable=false
# Event times are real ones: with the default of 7 days older events vanish.
log.retention.ms=-1
log.segment.bytes=67108864

# One node: one replica of everything, small internal topics, no waiting for others.
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000

# After a kill the broker waits until its former self is given up: 9 s by default.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controlled.shutdown.enable=true

num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=1
background.threads=2
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=8388608
"""

_LOGGING = """\
status=error
rootLogger.level=warn
rootLogger.appenderRefs=stdout
rootLogger.appenderRef.stdout.ref=STDOUT
appender.console.type=Console
appender.console.name=STDOUT
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
logger.started.name=kafka.server.KafkaRaftServer
logger.started.level=info
"""

_STARTED = "Kafka Server started"
"""What the broker logs once it is registered, unfenced and serves requests.

Kafka's own system tests wait for it.
Source: https://github.com/apache/kafka/blob/4.3/tests/kafkatest/services/kafka/kafka.py
"""

_MAIN_CLASS = "kafka.Kafka"


class Kafka(Server):
    """A broker for one machine: plain text on loopback, nothing ever expires."""

    name: ClassVar[str] = "kafka"
    port_names: ClassVar[tuple[str, ...]] = ("port", "controller_port")
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def prepare(self, tell: Tell) -> Launch:
        """Fetch the jars, write the settings, format the data folder if it is new."""
        java = find_java()
        jars = fetch("kafka", lambda line: tell(f"kafka: fetching, {line}"))
        self._settings.write_text(self.properties(), encoding="utf-8")
        (self.folder / "log4j2.properties").write_text(_LOGGING, encoding="utf-8")
        _format(self.folder / "data")
        return Launch(
            (
                *(str(java), *_JAVA_OPTIONS, "-cp", f"{jars}/*"),
                *(_MAIN_CLASS, str(self._settings)),
            ),
            folder=self.folder,
            log=self.log,
        )

    def properties(self) -> str:
        """Return the broker's settings; of two lines with one name the last counts."""
        return _PROPERTIES.format(host=LOOPBACK, **self.ports)

    def is_own(self, arguments: Sequence[str]) -> bool:
        """Return whether this is a broker with our settings file."""
        # The program counts too: `sh` has the same last words until it becomes Java.
        return Path(arguments[0]).name == "java" and list(arguments[-2:]) == [
            _MAIN_CLASS,
            str(self._settings),
        ]

    def is_ready(self) -> bool:
        """Return whether the broker said in its log that it serves."""
        return _STARTED in text_of(self.log)

    @property
    def access(self) -> Mapping[str, str]:
        """Return the address, which is librdkafka's ``bootstrap.servers``."""
        return {"address": self.address}

    @property
    def _settings(self) -> Path:
        return self.folder / "server.properties"


def _format(data: Path) -> None:
    """Make a new data folder the way ``kafka.tools.StorageTool format`` does.

    Its only output beside the two ids is a checkpoint with the feature levels of the
    release, which is the same every time. It comes with this package (a test compares
    it with what StorageTool writes): starting a second JVM would double the wait.
    """
    marker = data / "meta.properties"
    if marker.exists():
        return
    data.mkdir(parents=True, exist_ok=True)
    template = files("streamlab.stack").joinpath("kafka-4.3.1-bootstrap.checkpoint")
    (data / "bootstrap.checkpoint").write_bytes(template.read_bytes())
    # Last, and at once: the broker takes a folder with this file as formatted.
    written = data / "meta.properties.new"
    written.write_text(
        f"version=1\ncluster.id={_new_id()}\nnode.id=1\ndirectory.id={_new_id()}\n",
        encoding="utf-8",
    )
    written.replace(marker)


def _new_id() -> str:
    """Return a random id as Kafka writes it: 16 bytes, base64 for URLs, no padding."""
    text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # Kafka never gives one that a command line would take for an option.
    return text if text[0] != "-" else _new_id()
