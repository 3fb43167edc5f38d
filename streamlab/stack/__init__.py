"""The local stack: real servers on loopback, as child processes."""
