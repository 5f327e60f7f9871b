"""Tidemark's library: everything between a provider's bytes and a promoted model, without Airflow."""
