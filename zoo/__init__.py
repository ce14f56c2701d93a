"""Scalable model families and the loop that trains members. Knows torch, never `explorer`."""

from zoo import mlp, mobile, timm_bridge, wide_resnet
from zoo.classifier import Classifier, build_classifier
from zoo.recipes import RECIPES, Recipe, recipe
from zoo.registry import (
    Family,
    ZooError,
    build,
    canonical_name,
    default_resolution,
    families,
    family_of,
    register,
)
from zoo.train import Progress, Trained, TrainJob, predict, train

for _family in (wide_resnet.FAMILY, mlp.FAMILY, mobile.FAMILY, timm_bridge.FAMILY):
    register(_family)

__all__ = [
    "RECIPES",
    "Classifier",
    "Family",
    "Progress",
    "Recipe",
    "TrainJob",
    "Trained",
    "ZooError",
    "build",
    "build_classifier",
    "canonical_name",
    "default_resolution",
    "families",
    "family_of",
    "predict",
    "recipe",
    "register",
    "train",
]
