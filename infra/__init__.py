"""What Tidemark runs on: the embedded stack, compose, charts, migrations. The library never imports it."""
