"""Video files and frame folders to and from uint8 RGB frames."""
