"""The stack's broker with a second listener whose clients come through a proxy.

A broker tells its clients where it is, so a proxy in front of the one listener would
be left at the first answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from streamlab.stack import ports
from streamlab.stack.kafka import Kafka
from streamlab.stack.server import LOOPBACK
from tests.integration.cutting_proxy import Proxy

_PROPERTIES = """
listeners={plain},CONTROLLER://{host}:{controller_port},THROUGH://{host}:{through}
advertised.listeners={plain},THROUGH://{host}:{proxy}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,THROUGH:PLAINTEXT
"""


class CutKafka(Kafka):
    """A broker behind a proxy; at its own address it is reached without."""

    port_names: ClassVar[tuple[str, ...]] = (*Kafka.port_names, "through")
    proxy: Proxy

    def properties(self) -> str:
        """Return the broker's settings."""
        return super().properties() + _PROPERTIES.format(
            plain=f"PLAINTEXT://{self.address}",
            host=LOOPBACK,
            controller_port=self.ports["controller_port"],
            through=self.ports["through"],
            proxy=self.proxy.port,
        )


@contextlib.contextmanager
def cut_kafka(folder: Path) -> Iterator[CutKafka]:
    """Run a broker of one's own, and the proxy in front of it."""
    folder.mkdir(parents=True, exist_ok=True)
    server = CutKafka(folder, ports.choose(CutKafka.port_names, 0, {}))
    with Proxy((LOOPBACK, server.ports["through"])) as proxy:
        server.proxy = proxy
        server.start()
        try:
            yield server
        finally:
            server.stop()
