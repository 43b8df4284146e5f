"""Data sets as LightningDataModules: ImageNet, Cityscapes, ADE20K, and built-in ones that need no download."""
