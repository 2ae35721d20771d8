"""face128: whose face is this? 128-d face descriptors, exactly dlib's and much faster."""

__version__ = "0.1.0"
