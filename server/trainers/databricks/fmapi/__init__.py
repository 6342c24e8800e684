"""Databricks' Foundation Model Fine-tuning API (FMAPI): GraphQL, MLflow runs of its own, models in Unity Catalog."""
