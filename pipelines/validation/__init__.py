"""Splits that cannot leak, metrics with fixed names, a backtest with costs, and tests that know their error."""
