"""Scalable model families and the loop that trains members. Knows torch, never `explorer`."""

from zoo.classifier import Classifier, build_classifier
from zoo.families import all_families
from zoo.families.inner_ensemble import InnerEnsemble
from zoo.inference import predict
from zoo.job import Progress, Trained, TrainingStopped, TrainJob
from zoo.recipes import RECIPES, Recipe, recipe
from zoo.registry import (
    Family,
    ZooError,
    build,
    canonical_name,
    default_resolution,
    family_of,
    register,
    registered_families,
)
from zoo.stacked import train_stacked
from zoo.step_time import step_seconds
from zoo.supernets import all_spaces
from zoo.train import train

for _family in (*all_families(), *all_spaces()):
    register(_family)

__all__ = [
    "RECIPES",
    "Classifier",
    "Family",
    "InnerEnsemble",
    "Progress",
    "Recipe",
    "TrainJob",
    "Trained",
    "TrainingStopped",
    "ZooError",
    "build",
    "build_classifier",
    "canonical_name",
    "default_resolution",
    "family_of",
    "predict",
    "recipe",
    "register",
    "registered_families",
    "step_seconds",
    "train",
    "train_stacked",
]
