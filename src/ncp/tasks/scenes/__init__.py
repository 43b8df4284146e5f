"""The seven tasks of TransNAS-Bench-101 on images of rooms: object and scene classes, layout, jigsaw, segmentation, normals,
and the image itself. Architectures of its two spaces and of the multi-resolution space are trained on all of them.

Source: Duan et al., CVPR 2021, its supplement (section 2) and its public code.
"""
