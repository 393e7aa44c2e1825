"""The whole path: from a project to a bundle, and from a bundle to picks."""
