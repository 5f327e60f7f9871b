"""The embedded stack: real servers on loopback, started and supervised by us."""
