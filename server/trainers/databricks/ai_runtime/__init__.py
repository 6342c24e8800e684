"""Training on Databricks' serverless GPUs: AI Runtime, through the Jobs API."""
