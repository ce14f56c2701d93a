"""Smaller networks out of trained ones: channels cut out, or several networks' weights made one."""
