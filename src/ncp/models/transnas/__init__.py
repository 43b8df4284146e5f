"""The networks of TransNAS-Bench-101: encoders of its two spaces, and what stands on them for its seven tasks.

Source: Duan et al., CVPR 2021, with its supplement and its public code.
"""
