"""The formula language: what rows may say. It knows neither PyTensor nor a model."""
