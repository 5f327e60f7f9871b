"""The registry: evidence for the gate, promotions and rollbacks, models loaded safely, aliases kept true."""
