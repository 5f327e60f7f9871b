"""Everything that knows Airflow and is not a DAG. Imports of ``pipelines`` happen inside functions."""
