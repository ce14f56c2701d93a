"""Scalable model families and the loop that trains members. Knows torch, never `explorer`."""
