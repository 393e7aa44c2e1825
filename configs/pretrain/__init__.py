# Makes this folder a package, so that Hydra finds its YAML files in a wheel.
