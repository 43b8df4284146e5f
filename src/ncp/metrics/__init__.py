"""KITTI average precision, rotated boxes, and what torchmetrics lacks. Needs numpy alone."""
