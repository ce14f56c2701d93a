"""From a chosen design to one file that answers as the stored predictions say, and the proof of it.

`onnx_export` turns a member into a graph, `graph` joins members into one, `artefact` writes and opens
the folder that is shipped, `verify` runs it against the store. This package imports none of them, so
that naming it stays cheap: they bring torch and onnx.
"""
