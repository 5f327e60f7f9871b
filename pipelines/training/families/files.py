"""What a model's file is called, by the flavour of its family; ours are those that MLflow has no flavour for."""

from __future__ import annotations

MODEL_FILES = {"xgboost": "model.ubj", "lightgbm": "model.lgb", "sklearn": "model.skops",
               "safetensors": "model.safetensors", "json": "model.json", "zip": "model.zip"}
#: Flavours of our own: MLflow knows them as a Python function whose loader is one of our modules.
LOADERS = {"safetensors": "pipelines.training.families.neural", "json": "pipelines.training.families.document",
           "zip": "pipelines.training.families.calibrated"}
