"""The commands of `refiner`, one module each."""
