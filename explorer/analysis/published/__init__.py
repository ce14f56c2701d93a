"""Fronts over what others published: accuracies and costs of thousands of models, no predictions."""
