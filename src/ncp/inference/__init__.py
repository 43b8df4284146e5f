"""Prediction: a network out of a run, a safetensors or an ONNX file, and what it makes of images, videos and scenes.

:mod:`~ncp.inference.networks` opens the file; :mod:`~ncp.inference.inputs` lists and names what is to be looked at;
:mod:`~ncp.inference.loading` reads it; a module for each task says what the network makes of it; :mod:`~ncp.inference.outputs`
writes it down. All numbers outside of the network are numpy's, so the three kinds of files give the same results, and an ONNX
file needs no torch. (On a GPU alone a detector's own graph makes the pillars, and ranks and decodes the boxes, too.)
"""
