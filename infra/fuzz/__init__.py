"""Payloads mutated at random, the real providers that read them, and an account that uses none of their code."""
